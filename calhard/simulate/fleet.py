"""A synthetic fleet: healthy models, models with known faults, and the truth about both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from calhard.errors import ConfigError
from calhard.schema import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, TIMESTAMP
from calhard.simulate.noise import NOISES, Noise, healthy_series, plant

Floats = NDArray[np.float64]
Cadence = Literal["hourly", "daily", "mixed"]
CADENCES: tuple[Cadence, ...] = ("hourly", "daily", "mixed")

LEVELS: dict[str, tuple[float, float]] = {
    "aece": (0.020, 0.0015),
    "dece": (0.018, 0.0012),
    "alpha": (1.00, 0.008),
    "clamp_rate": (0.050, 0.004),
    "merged_bin_rate": (0.020, 0.003),
}
"""Typical level and standard deviation of every metric."""
FAULTS = (
    "step",
    "drift",
    "variance",
    "oscillation",
    "transient",
    "flatline",
    "not_a_number",
    "stale",
    "score_range",
    "mask_mismatch",
)
"""Faults of single models, planted in turn."""
SIZES = {"step": 6.0, "drift": 6.0, "variance": 3.0, "oscillation": 3.0, "transient": 8.0}
"""In the series' own standard deviations (variance: factor on it)."""
BAD_VERSION = "7.1.0"
GOOD_VERSION = "7.0.3"
BATCH_ROWS = 2**17
DAYS_BROKEN = (1.5, 6.5)
"""Faults of single models begin so many days before the end; a fleet-wide one a day before it."""

TRUTH = pa.schema(
    [
        ("model_id", pa.string()),
        ("class_id", pa.string()),
        ("metric", pa.string()),
        ("fault", pa.string()),
        ("onset", TIMESTAMP),
        ("size", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """What to simulate; the same spec gives the same fleet, byte for byte.

    ``broken`` is the share of models with a fault of their own, ``fleet_wide`` the share that get
    a bad deployment together (and its ``model_version``). ``mixed`` cadence makes every third
    model daily.
    """

    models: int = 20
    classes: int = 3
    days: int = 35
    cadence: Cadence = "hourly"
    noise: Noise = "normal"
    phi: float = 0.3
    broken: float = 0.25
    fleet_wide: float = 0.0
    seed: int = 0
    end: datetime = datetime(2026, 6, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        problems = [
            (self.models < 1, f"models = {self.models}; at least 1"),
            (self.classes < 1, f"classes = {self.classes}; at least 1"),
            (self.days < 1, f"days = {self.days}; at least 1"),
            (not -0.95 <= self.phi <= 0.95, f"phi = {self.phi}; between -0.95 and 0.95"),
            (not 0 <= self.broken <= 1, f"broken = {self.broken}; a share between 0 and 1"),
            (not 0 <= self.fleet_wide <= 1, f"fleet_wide = {self.fleet_wide}; between 0 and 1"),
            (
                self.broken + self.fleet_wide > 1 + 1e-9,
                f"broken + fleet_wide = {self.broken + self.fleet_wide:g}; at most 1",
            ),
            (self.noise not in NOISES, f"noise = {self.noise}; one of {', '.join(NOISES)}"),
            (
                self.cadence not in CADENCES,
                f"cadence = {self.cadence}; one of {', '.join(CADENCES)}",
            ),
            (self.seed < 0, f"seed = {self.seed}; at least 0"),
        ]
        found = [text for wrong, text in problems if wrong]
        if found:
            raise ConfigError("cannot simulate: " + "; ".join(found))

    @property
    def end_us(self) -> int:
        """The last timestamp, µs since 1970 UTC."""
        return round(self.end.timestamp() * 1e6)

    def model_name(self, index: int) -> str:
        """Return the name of a model; names sort like their indices."""
        return f"model-{index:0{max(4, len(str(self.models - 1)))}d}"

    def fault_of(self, index: int) -> str:
        """Return what is wrong with a model, "" for nothing."""
        if index < round(self.models * self.fleet_wide):
            return "deployment"
        place = index - round(self.models * self.fleet_wide)
        return FAULTS[place % len(FAULTS)] if place < round(self.models * self.broken) else ""


def simulate(spec: FleetSpec) -> Iterator[pa.RecordBatch]:
    """Yield the history, sorted by model, class and time; memory stays at a batch."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for index in range(spec.models):
        batch, _ = _model(spec, index)
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


def truth(spec: FleetSpec) -> pa.Table:
    """Return which series were broken, how and since when."""
    rows = [
        row
        for index in range(spec.models)
        if spec.fault_of(index)
        for row in _model(spec, index)[1]
    ]
    return pa.Table.from_pylist(rows, schema=TRUTH)


def write_fleet(spec: FleetSpec, out: Path) -> Path:
    """Write ``history.parquet`` and ``_truth.parquet`` into a folder that can be audited.

    Raises
    ------
    ConfigError
        There is a history that was not simulated: it would be lost.
    """
    if (out / "history.parquet").exists() and not (out / "_truth.parquet").exists():
        raise ConfigError(
            f"{out / 'history.parquet'} was not simulated and would be lost; choose another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    try:
        for batch in simulate(spec):
            if writer is None:
                writer = pq.ParquetWriter(
                    out / "history.parquet",
                    batch.schema,
                    compression="lz4",
                    use_dictionary=["model_id", "class_id", "model_version", "team", "region"],
                    write_page_checksum=True,
                )
            writer.write_batch(batch, row_group_size=BATCH_ROWS)
    finally:
        if writer is not None:
            writer.close()
    pq.write_table(truth(spec), out / "_truth.parquet")
    return out


def _model(spec: FleetSpec, index: int) -> tuple[pa.RecordBatch, list[dict[str, object]]]:
    """One model's rows and the truth about it; depends on the seed and the index alone."""
    rng = np.random.default_rng([spec.seed, index])
    daily = spec.cadence == "daily" or (spec.cadence == "mixed" and index % 3 == 2)
    step = MICROSECONDS_PER_DAY if daily else MICROSECONDS_PER_HOUR
    n = spec.days * MICROSECONDS_PER_DAY // step
    stamps = spec.end_us - step * np.arange(n - 1, -1, -1, dtype=np.int64)
    shape = (spec.classes * len(LEVELS), n)
    x = healthy_series(
        rng, *shape, phi=spec.phi, noise=spec.noise, slots_per_day=1 if daily else 24
    )
    fault = spec.fault_of(index)
    days = 1.0 if fault == "deployment" else rng.uniform(*DAYS_BROKEN)
    at = int(np.searchsorted(stamps, spec.end_us - round(days * MICROSECONDS_PER_DAY), "right"))
    place = int(rng.integers(shape[0]))
    x, told = _broken(x, fault, at, place)
    values = _scaled(x, rng, spec.classes)
    keep = np.full(spec.classes, n)
    told += _source_faults(values, fault, at, place, keep)
    batch = _batch(spec, index, stamps, values, keep, rng, (fault, at))
    since = datetime.fromtimestamp(int(stamps[min(at, n - 1)]) / 1e6, tz=UTC)
    names = list(LEVELS)
    rows = [
        {
            "model_id": spec.model_name(index),
            "class_id": f"class-{row // len(names)}",
            "metric": metric or names[row % len(names)],
            "fault": fault,
            "onset": since,
            "size": size,
        }
        for row, metric, size in told
    ]
    return batch, rows


Told = list[tuple[int, str, float]]
"""Broken rows: (class and metric as one number, the metric if it is a count, size)."""


def _broken(x: Floats, fault: str, at: int, place: int) -> tuple[Floats, Told]:
    """Plant a fault of the noise: in every metric of class errors, or in one series."""
    if fault == "deployment":
        rows = [r for r in range(len(x)) if r % len(LEVELS) < 2]  # aece and dece of every class
        x[rows] = plant(x[rows], "step", 8.0, at)
        return x, [(r, "", 8.0) for r in rows]
    if fault in SIZES:
        x[place : place + 1] = plant(x[place : place + 1], fault, SIZES[fault], at)  # type: ignore[arg-type]  # a Fault, by the keys of SIZES
        return x, [(place, "", SIZES[fault])]
    return x, []


def _scaled(x: Floats, rng: np.random.Generator, classes: int) -> dict[str, Floats]:
    """Bring sds to the metrics' units; every series has a level and an sd of its own."""
    values = {}
    for m, (name, (level, sd)) in enumerate(LEVELS.items()):
        own = level * rng.uniform(0.8, 1.2, (classes, 1))
        part = own + sd * rng.uniform(0.7, 1.3, (classes, 1)) * x[m :: len(LEVELS)]
        values[name] = part if name == "alpha" else np.clip(part, 0.0, 1.0)
    counts = ("score_range_violations", "mask_mismatch_count")
    return values | {name: np.zeros((classes, x.shape[1])) for name in counts}


def _source_faults(
    values: dict[str, Floats], fault: str, at: int, place: int, keep: NDArray[np.int64]
) -> Told:
    """Plant a fault of the source: of one metric, of a count, or of a whole class."""
    class_, metric = divmod(place, len(LEVELS))
    name = list(LEVELS)[metric]
    if fault == "flatline":
        values[name][class_, at:] = values[name][class_, at]
    elif fault == "not_a_number":
        values[name][class_, at::2] = np.nan
    elif fault == "stale":
        keep[class_] = at
        return [(class_ * len(LEVELS) + m, "", 0.0) for m in range(len(LEVELS))]
    elif fault in {"score_range", "mask_mismatch"}:
        name = "score_range_violations" if fault == "score_range" else "mask_mismatch_count"
        values[name][class_, at] = 3.0
        return [(place, name, 3.0)]
    else:
        return []
    return [(place, "", 0.0)]


def _batch(
    spec: FleetSpec,
    index: int,
    stamps: NDArray[np.int64],
    values: dict[str, Floats],
    keep: NDArray[np.int64],
    rng: np.random.Generator,
    fault: tuple[str, int],
) -> pa.RecordBatch:
    n = len(stamps)
    rows = np.concatenate([c * n + np.arange(size) for c, size in enumerate(keep)])
    slot = np.tile(np.arange(n), spec.classes)[rows]
    deployed = (fault[0] == "deployment") & (slot >= fault[1])
    columns = {name: pa.array(v.ravel()[rows]) for name, v in values.items()}
    counts = ("score_range_violations", "mask_mismatch_count")
    columns |= {name: columns[name].cast(pa.int64()) for name in counts}
    classes = np.repeat(np.arange(spec.classes), n)[rows]
    return pa.RecordBatch.from_pydict(
        {
            "model_id": _constant(spec.model_name(index), len(rows)),
            "class_id": pa.DictionaryArray.from_arrays(
                classes.astype(np.int32), [f"class-{c}" for c in range(spec.classes)]
            ).cast(pa.string()),
            "timestamp": pa.array(stamps[slot], pa.int64()).cast(TIMESTAMP),
            **columns,
            "total_samples": pa.array(rng.integers(8_000, 12_000, len(rows))),
            "model_version": pa.DictionaryArray.from_arrays(
                deployed.astype(np.int32), [GOOD_VERSION, BAD_VERSION]
            ).cast(pa.string()),
            "team": _constant(f"team-{'abcd'[index % 4]}", len(rows)),
            "region": _constant(("eu", "us", "ap")[index % 3], len(rows)),
        }
    )


def _constant(text: str, size: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), size)
