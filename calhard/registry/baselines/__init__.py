"""Baselines that were agreed on: versions that never change, and an alias for the one in force."""

from __future__ import annotations

from calhard.registry.baselines.chosen import choose_baseline
from calhard.registry.baselines.pin import pin_night
from calhard.registry.baselines.shelf import Shelf, Version

__all__ = ["Shelf", "Version", "choose_baseline", "pin_night"]
