"""What `export.py` does: trained runs become files that servers and devices load."""
