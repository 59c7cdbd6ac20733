"""Predictions from an exported model."""
