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


What = tuple[str, str]
"""Metric and kind of a finding."""


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
    def found(self) -> frozenset[What]:
        """What was found: metrics and kinds."""
        return frozenset((f.metric, f.kind) for f in self.findings)

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
            window = find(rest)
            if not _is_fleet_wide(window, rest, models_total, as_of_us):
                break
            merged = {id(c) for c in window}
            done.append(_merged(window))
            rest = [c for c in rest if id(c) not in merged]
    return done + rest


def _merged(window: Sequence[Cluster]) -> Cluster:
    """One cluster of all; its onset is the median one, which a chance neighbour cannot move."""
    findings = tuple(f for c in window for f in c.findings)
    onsets = sorted(c.onset for c in window if c.onset is not None)
    return Cluster(findings, onsets[(len(onsets) - 1) // 2] if onsets else None, "fleet")


def _most_alike(clusters: Sequence[Cluster]) -> list[Cluster]:
    """The undated clusters that share one kind of finding in one metric, where most models do."""
    sharing = _sharing([c for c in clusters if c.onset is None])
    return max(sharing.values(), key=len, default=[])


def _widest(clusters: Sequence[Cluster]) -> list[Cluster]:
    """The most clusters that share a kind of finding in one metric and an onset, and their kin.

    Neighbours in time alone are chance ones. Kin have an onset among those of the others and share
    with them what at least half of them have. ``clusters`` by onset; each in a gap is of a model of
    its own, since those of one model lie further apart.
    """
    dated = [c for c in clusters if c.onset is not None]
    best: list[Cluster] = []
    for alike in _sharing(dated).values():
        if len(alike) > len(best):
            best = max(best, _within_a_gap(alike), key=len)
    if not best:
        return []
    low, high = best[0].onset or 0, best[-1].onset or 0
    common = Counter(what for c in best for what in c.found)
    usual = {what for what, count in common.items() if 2 * count >= len(best)}
    return [c for c in dated if low <= (c.onset or 0) <= high and c.found & usual]


def _sharing(clusters: Sequence[Cluster]) -> dict[What, list[Cluster]]:
    """The clusters that hold each kind of finding in each metric, by name of both."""
    sharing: dict[What, list[Cluster]] = {}
    for cluster in clusters:
        for what in cluster.found:
            sharing.setdefault(what, []).append(cluster)
    return dict(sorted(sharing.items()))


def _within_a_gap(dated: list[Cluster]) -> list[Cluster]:
    """The most of some clusters, sorted by onset, that lie within one gap."""
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
