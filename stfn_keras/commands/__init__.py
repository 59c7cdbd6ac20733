"""What the top-level scripts and console scripts run: flags, then one call."""
