"""Reliability diagrams: what share of the labels came true, score by score. Pure."""

from calhard.reliability.band import Band, consistency_band
from calhard.reliability.diagram import Cell, Diagram, diagrams_of
from calhard.reliability.pool import CELLS, BinRows, Pooled, pool

__all__ = [
    "CELLS",
    "Band",
    "BinRows",
    "Cell",
    "Diagram",
    "Pooled",
    "consistency_band",
    "diagrams_of",
    "pool",
]
