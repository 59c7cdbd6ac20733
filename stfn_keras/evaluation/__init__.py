"""What `evaluate.py` does: scores of every test video, metrics, the report."""
