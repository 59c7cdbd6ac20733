"""Rendered labelled clips to try things on."""
