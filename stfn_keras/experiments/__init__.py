"""Several trainings as one experiment: ablations, splits and seeds, and their tests."""
