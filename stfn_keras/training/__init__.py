"""What `train.py` does: stages, checkpoints, the run directory."""
