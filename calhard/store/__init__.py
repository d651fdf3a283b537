"""Nights on disk: published whole or not at all, one writer at a time, old revisions kept."""

from calhard.store.prune import prune
from calhard.store.reader import NightReader, list_nights, open_night, published
from calhard.store.writer import NightWriter

__all__ = ["NightReader", "NightWriter", "list_nights", "open_night", "prune", "published"]
