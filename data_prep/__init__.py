"""Preparation of videos into TFRecord datasets: `python -m data_prep`."""
