"""What the page shows beyond the night's tables: the evidence behind its incidents, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calhard.reliability import Diagram
from calhard.report.cases import Key
from calhard.report.picture import SeriesPicture

P_BINS = 20
"""Bars of a histogram of p-values."""


@dataclass(frozen=True, slots=True)
class EarlierNight:
    """What the page says of the last night before this one.

    Attributes
    ----------
    found : model and metric of every confirmed finding for the worse
    readable : False where the night is damaged; nothing is compared with it then
    """

    night: str
    verdict: str = ""
    incidents: int = 0
    found: frozenset[tuple[str, str]] = frozenset()
    plan_sha256: str = ""
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Exhibits:
    """Evidence for the page; all of it may be missing.

    Attributes
    ----------
    evidence : rows of the evidence table by series, of those that incidents show
    pictures : of those series of which values were kept
    before : the last night that was published before this one
    metrics : the audited ones, in the order of all tables
    statuses : statuses of the classes of the models that the heat map shows, by model and metric
    reliability : diagrams by model and class, and window, where bins were kept
    p_values : how many p-values of the level head are in each of `P_BINS` bins, by metric
    """

    evidence: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Mapping[Key, SeriesPicture] = field(default_factory=dict)
    before: EarlierNight | None = None
    metrics: tuple[str, ...] = ()
    statuses: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    p_values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    reliability: Mapping[tuple[str, str], Mapping[str, Diagram]] = field(default_factory=dict)
