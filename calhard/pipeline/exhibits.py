"""The evidence behind the page: read back from the staged night, of what is shown and no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from calhard.errors import InputError
from calhard.judge.ruling import Ruling
from calhard.pipeline.evidence import NightEvidence
from calhard.pipeline.staged import read_models
from calhard.plan.duration import parse_duration
from calhard.reliability import Diagram, diagrams_of
from calhard.report import NightReport
from calhard.report.cases import Case, Key, cases, confirmed_pairs
from calhard.report.exhibits import EarlierNight, Exhibits
from calhard.report.heat import heat_models
from calhard.report.picture import SeriesPicture, series_picture
from calhard.store import NightReader, NightWriter, list_nights, published

Row = dict[str, Any]


def gather(
    report: NightReport, ruling: Ruling, evidence: NightEvidence, writer: NightWriter
) -> Exhibits:
    """Return what the page of a staged night shows beyond its tables.

    Memory stays at a row group: only those are read that may hold what is shown.
    """
    staged = writer.layout.staging
    incidents = cases(report)
    rows = _rows(evidence.candidates, {key for case in incidents for key in _shown(case)})
    return Exhibits(
        evidence=rows,
        pictures=_pictures(rows, ruling, sorted((staged / "series").glob("*.parquet"))),
        before=_before(writer),
        metrics=tuple(ruling.metrics),
        statuses=_statuses(staged / "evidence.parquet", heat_models(report)),
        reliability=_diagrams(report.tables["reliability"], incidents),
        p_values={name: tuple(counts.tolist()) for name, counts in evidence.p_values.items()},
    )


def _shown(case: Case) -> set[Key]:
    """The series of a card: those it draws, and the worst, of which it says how sure it is."""
    return {*case.drawn, *(trouble.key for trouble in case.troubles[:1])}


def _diagrams(
    table: pa.Table, incidents: Sequence[Case]
) -> dict[tuple[str, str], dict[str, Diagram]]:
    """The reliability of the models of the incidents, where their bins were kept."""
    models = {trouble.key[0] for case in incidents for trouble in case.troubles}
    wanted = pa.array(sorted(models), pa.string())
    return diagrams_of(table.filter(pc.is_in(table["model_id"], value_set=wanted)))


def _rows(candidates: pa.Table, keys: set[Key]) -> dict[Key, Row]:
    """The evidence of some series; that of all findings is in memory."""
    models = pa.array(sorted({model for model, _, _ in keys}), pa.string())
    near = candidates.filter(pc.is_in(candidates["model_id"], value_set=models))
    found = {}
    for batch in near.to_batches(max_chunksize=1_024):
        for row in batch.to_pylist():
            key = row["model_id"], row["class_id"], row["metric"]
            if key in keys:
                found[key] = row
    return found


def _pictures(
    rows: dict[Key, Row], ruling: Ruling, files: Sequence[Path]
) -> dict[Key, SeriesPicture]:
    clock, metrics = ruling.clock, ruling.metrics
    values = _values(files, sorted({(model, class_) for model, class_, _ in rows}), list(metrics))
    horizon = parse_duration(ruling.plan.windows.horizon)
    return {
        key: series_picture(
            row,
            values[key[:2]],
            metrics[key[2]],
            as_of=clock.cut,
            night=clock.cut - clock.night,
            horizon=horizon,
        )
        for key, row in rows.items()
        if key[:2] in values
    }


def _values(
    files: Sequence[Path], groups: Sequence[tuple[str, str]], metrics: Sequence[str]
) -> dict[tuple[str, str], pa.Table]:
    """The values of some models' classes."""
    columns = ["model_id", "class_id", "timestamp", *metrics]
    own: dict[str, list[str]] = defaultdict(list)
    for model, class_ in groups:
        own[model].append(class_)
    found: dict[tuple[str, str], list[pa.Table]] = defaultdict(list)
    for part in read_models(files, sorted(own), columns):
        for model in part["model_id"].unique().to_pylist():
            mine = part.filter(pc.equal(part["model_id"], model))
            for class_ in own[model]:
                some = mine.filter(pc.equal(mine["class_id"], class_))
                if some.num_rows:
                    found[model, class_].append(some)
    return {group: pa.concat_tables(parts) for group, parts in found.items()}


def _statuses(file: Path, models: Sequence[str]) -> dict[tuple[str, str], frozenset[str]]:
    """Statuses of the classes of some models, by model and metric."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for part in read_models([file], sorted(models), ["model_id", "metric", "status"]):
        kinds = part.group_by(["model_id", "metric", "status"], use_threads=False).aggregate([])
        for row in kinds.to_pylist():
            found[row["model_id"], row["metric"]].add(row["status"])
    return {pair: frozenset(statuses) for pair, statuses in found.items()}


def _before(writer: NightWriter) -> EarlierNight | None:
    """The last night before this one, as far as it can be read."""
    night = writer.layout.night
    nights = [name for name in list_nights(writer.out) if name < night]
    if not nights:
        return None
    try:
        known = published(writer.out, nights[-1])
        return None if known is None else _told(known)
    except (InputError, KeyError):
        return EarlierNight(nights[-1], readable=False)


def _told(night: NightReader) -> EarlierNight:
    summary = night.summary
    tables = {name: night.table(name) for name in ("regressions", "violations")}
    return EarlierNight(
        night.night,
        str(summary["verdict"]),
        int(summary["counts"]["incidents"]),
        frozenset(confirmed_pairs(NightReport(night.night, tables, summary, ""))),
        str(summary["plan_sha256"]),
    )
