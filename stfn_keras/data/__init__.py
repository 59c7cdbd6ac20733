"""Datasets: protocols, manifests and records, and the input pipeline over them."""
