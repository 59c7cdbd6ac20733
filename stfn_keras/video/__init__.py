"""Pixels: decoding, optical flow, and the one preprocessing of the program."""
