"""Cost and error of the flow presets on rendered motion."""
