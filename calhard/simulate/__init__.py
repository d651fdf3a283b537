"""Synthetic series and fleets with known faults: for demos, tests and benchmarks."""

from calhard.simulate.fleet import FleetSpec, simulate, truth, write_fleet
from calhard.simulate.noise import healthy_series, plant

__all__ = ["FleetSpec", "healthy_series", "plant", "simulate", "truth", "write_fleet"]
