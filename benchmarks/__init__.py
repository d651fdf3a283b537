"""Measurements: what calhard promises, simulated and timed against its limits and its peers."""
