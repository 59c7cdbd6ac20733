"""Thin servers of an exported model around KServe's and Triton's, which PyPI has."""
