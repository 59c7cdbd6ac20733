"""A module for each network, or for a family of them."""
