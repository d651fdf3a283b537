"""The evidence of a night: streamed to its table, while what the findings need of it stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from calhard.findings.columns import words
from calhard.judge.evidence import CANDIDATE
from calhard.judge.status import CAUSES
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.levels import Levels
from calhard.report.exhibits import P_BINS
from calhard.store import NightWriter


@dataclass(frozen=True, slots=True)
class NightEvidence:
    """What stays of a night's evidence once it is written.

    Attributes
    ----------
    candidates : pa.Table
        Series that may become findings, `judge.evidence.CANDIDATE`.
    groups : pa.Table
        One row per (model, class): series by status, nights, tags.
    causes : int64, shape (1 + len(CAUSES),)
        Series that are ok, then those that are not, by cause.
    slo_threshold : float
        Largest p at which an SLO test is confirmed.
    p_values : int64, shape (P_BINS,), by metric
        Histogram of the level head's raw p.
    levels : Levels, by metric
        The night's values of the series that are ok, the week's where no SLO asks for the night's.
    stopped : models
        Expected ones of which no series has a value in its analysis window or any verdict.
    """

    candidates: pa.Table
    groups: pa.Table
    causes: NDArray[np.int64]
    slo_threshold: float
    p_values: Mapping[str, NDArray[np.int64]]
    levels: Mapping[str, Levels]
    stopped: frozenset[str]

    def flagged(self) -> list[tuple[str, str]]:
        """Return the (model, class) of every candidate, each once, in order."""
        keys = self.candidates.select(["model_id", "class_id"]).group_by(
            ["model_id", "class_id"], use_threads=False
        )
        found = keys.aggregate([])
        return sorted(zip(*(found[n].to_pylist() for n in found.schema.names), strict=True))


def write_evidence(fleet: JudgedFleet, writer: NightWriter) -> NightEvidence:
    """Write the evidence of all series, or of the candidates alone if the plan says so."""
    everything = fleet.ruling.plan.storage.keep == "all"
    verdict = fleet.decide()
    candidates, groups = [CANDIDATE.empty_table()], []
    causes = np.zeros(len(CAUSES) + 1, np.int64)
    p_values = {name: np.zeros(P_BINS, np.int64) for name in fleet.ruling.metrics}
    levels = {name: Levels() for name in fleet.ruling.metrics}
    expected = set(fleet.ruling.plan.expected_models)
    known, heard = set[str](), set[str]()
    with writer.table("evidence") as sink:
        for batch in fleet.evidence(verdict):
            kept = batch.table if everything else batch.candidates
            sink.write(kept.select(batch.table.schema.names))
            if batch.candidates.num_rows:
                candidates.append(batch.candidates)
            groups.append(batch.groups)
            causes += np.bincount(batch.causes + 1, minlength=len(causes))
            _count(batch.table, p_values, levels)
            if expected:
                known |= expected.intersection(batch.groups["model_id"].to_pylist())
                heard |= _heard(batch.table)
    return NightEvidence(
        pa.concat_tables(candidates),
        pa.concat_tables(groups, promote_options="default"),
        causes,
        verdict.slo_threshold,
        p_values,
        levels,
        frozenset(known - heard),
    )


def _heard(table: pa.Table) -> set[str]:
    """Models with a value in an analysis window, or of which more is known than too few values."""
    told = (table["n_analysis"].to_numpy() > 0) | (words(table, "status") != "insufficient")
    return set(table["model_id"].filter(pa.array(told)).unique().to_pylist())


def _count(
    table: pa.Table, p_values: Mapping[str, NDArray[np.int64]], levels: Mapping[str, Levels]
) -> None:
    """Add the level head's p of each series, and its value where it is ok, to its metric's."""
    p, night, week = (table[n].to_numpy() for n in ("p_level", "night_value", "analysis_mean"))
    metric = table["metric"].combine_chunks().dictionary_encode()
    place, known = metric.indices.to_numpy(), np.isfinite(p)
    value = np.where(np.isfinite(night), night, week)
    sound = pc.equal(table["status"], "ok").to_numpy()
    for code, name in enumerate(metric.dictionary.to_pylist()):
        bins = np.minimum((p[known & (place == code)] * P_BINS).astype(np.int64), P_BINS - 1)
        p_values[name] += np.bincount(bins, minlength=P_BINS)
        levels[name].add(value[sound & (place == code)])
