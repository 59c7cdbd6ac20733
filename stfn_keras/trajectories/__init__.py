"""Hand-crafted features: improved dense trajectories (iDT) and MIFS, as score files."""
