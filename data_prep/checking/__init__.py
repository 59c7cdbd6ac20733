"""Finished datasets: every fault of one, and what it holds."""
