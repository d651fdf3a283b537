"""Which findings belong together: those of one model by onset, those of many by what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calhard.schema import MICROSECONDS_PER_DAY

GAP_US = MICROSECONDS_PER_DAY
"""Onsets of one model within this are one incident; so are those of many models."""
FLEET_MODELS = 5
FLEET_SHARE = 0.02
FLEET_P = 1e-6
"""A fleet incident: at least 5 models, and rarer than 1e-6 or more than 2 % of the models."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One confirmed regression or violation; ``onset`` None where nothing dates it."""

    model_id: str
    class_id: str
    metric: str
    kind: str
    rank: int
    onset: int | None
    worth: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Findings of one incident."""

    findings: tuple[Finding, ...]
    onset: int | None
    scope: str = "model"

    @property
    def models(self) -> tuple[str, ...]:
        """The models it touches, sorted."""
        return tuple(sorted({f.model_id for f in self.findings}))


def by_model(findings: Sequence[Finding]) -> list[Cluster]:
    """Single linkage of each model's onsets; what is not dated joins the model's first cluster."""
    models: dict[str, list[Finding]] = {}
    for finding in findings:
        models.setdefault(finding.model_id, []).append(finding)
    clusters = []
    for members in models.values():
        dated = sorted((f for f in members if f.onset is not None), key=lambda f: f.onset or 0)
        groups: list[list[Finding]] = []
        for finding in dated:
            if groups and (finding.onset or 0) - (groups[-1][-1].onset or 0) <= GAP_US:
                groups[-1].append(finding)
            else:
                groups.append([finding])
        rest = [f for f in members if f.onset is None]
        if rest:
            groups = [[*groups[0], *rest], *groups[1:]] if groups else [rest]
        clusters += [Cluster(tuple(g), g[0].onset) for g in groups]
    return clusters


def fleet_wide(clusters: Sequence[Cluster], models_total: int, as_of_us: int) -> list[Cluster]:
    """Merge clusters of many models that share an onset, the largest first.

    Clusters that nothing dates are merged by what they found instead: a fault that hits everything
    at once must not become one incident per model.
    """
    done: list[Cluster] = []
    rest = sorted(clusters, key=lambda c: (c.onset or 0, c.models))
    for find in (_widest, _most_alike):
        while True:
            window = _kin(find(rest))
            if not _is_fleet_wide(window, rest, models_total, as_of_us):
                break
            merged = {id(c) for c in window}
            done.append(_merged(window))
            rest = [c for c in rest if id(c) not in merged]
    return done + rest


def _kin(window: Sequence[Cluster]) -> list[Cluster]:
    """Those that share a metric with another one: a neighbour in time alone is a chance one."""
    owners = Counter(m for c in window for m in {f.metric for f in c.findings})
    return [c for c in window if any(owners[f.metric] > 1 for f in c.findings)]


def _merged(window: Sequence[Cluster]) -> Cluster:
    """One cluster of all; its onset is the median one, which a chance neighbour cannot move."""
    findings = tuple(f for c in window for f in c.findings)
    onsets = sorted(c.onset for c in window if c.onset is not None)
    return Cluster(findings, onsets[(len(onsets) - 1) // 2] if onsets else None, "fleet")


def _most_alike(clusters: Sequence[Cluster]) -> list[Cluster]:
    """The undated clusters that share one kind of finding in one metric, where most models do."""
    sharing: dict[tuple[str, str], list[Cluster]] = {}
    for cluster in clusters:
        if cluster.onset is None:
            for what in sorted({(f.metric, f.kind) for f in cluster.findings}):
                sharing.setdefault(what, []).append(cluster)
    best = max(sorted(sharing), key=lambda what: len(sharing[what]), default=None)
    return [] if best is None else sharing[best]


def _widest(clusters: Sequence[Cluster]) -> list[Cluster]:
    """The most clusters whose onsets lie within one gap; ``clusters`` by onset.

    Each is of a model of its own: those of one model lie further apart than a gap.
    """
    dated = [c for c in clusters if c.onset is not None]
    if not dated:
        return []
    onset = np.array([c.onset for c in dated], np.int64)
    size = np.searchsorted(onset, onset + GAP_US, side="right") - np.arange(len(onset))
    begin = int(np.argmax(size))
    return dated[begin : begin + int(size[begin])]


def _is_fleet_wide(
    window: Sequence[Cluster], clusters: Sequence[Cluster], models_total: int, as_of_us: int
) -> bool:
    """Whether so many models in one gap are rarer than 1e-6 at the rate of the other onsets."""
    models = len(window)
    if models < FLEET_MODELS:
        return False
    if models > FLEET_SHARE * models_total:
        return True
    if window[0].onset is None:
        return False  # no dates, no rate
    onsets = [c.onset for c in clusters if c.onset is not None]
    days = max((as_of_us - min(onsets)) / MICROSECONDS_PER_DAY, 7.0)
    others = len(onsets) - models + 1
    from scipy.stats import poisson  # takes longer to load than a night's reading needs

    return bool(poisson.sf(models - 1, max(others, 1) / days) < FLEET_P)
