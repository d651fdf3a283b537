"""Reads a history: files of any layout in, blocks of whole series out, every row accounted for."""

from calhard.history.account import DAMAGED, RowAccount
from calhard.history.baseline import read_baseline
from calhard.history.blocks import BadFile, NotSorted, read_blocks
from calhard.history.giants import Giant, find_giants
from calhard.history.open import History
from calhard.history.shards import Reading, ShardSpec

__all__ = [
    "DAMAGED",
    "BadFile",
    "Giant",
    "History",
    "NotSorted",
    "Reading",
    "RowAccount",
    "ShardSpec",
    "find_giants",
    "read_baseline",
    "read_blocks",
]
