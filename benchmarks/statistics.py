"""Error rates and recall on simulated fleets, with fresh seeds at every run.

    python -m benchmarks.statistics [--seed 1] [--series 10000] [--fleets 20]

Prints what was promised, what was measured and its 95 % confidence interval (Clopper–Pearson).
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import beta

from benchmarks.machine import write
from calhard.assess.windows import Clock
from calhard.judge.fleet import JudgedInMemory, judge_fleet
from calhard.plan import AuditPlan
from calhard.schema import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from calhard.series import SeriesBlock
from calhard.simulate import healthy_series, plant

AS_OF = 1_780_272_000_000_000
BLOCK_VALUES = 2**18
Floats = NDArray[np.float64]
Plan = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True)
class Shape:
    """Slots of a series, those that are judged, and their distance."""

    n: int
    analysis: int
    spacing: int = MICROSECONDS_PER_HOUR


MIDDLE, HOURLY, DAILY = Shape(200, 67), Shape(840, 168), Shape(35, 7, MICROSECONDS_PER_DAY)


@dataclass(frozen=True)
class Row:
    """One line of the table: ``bound`` with its sense, hits among trials."""

    promise: str
    setting: str
    bound: str
    hits: int
    trials: int

    @property
    def share(self) -> float:
        """Hits over trials."""
        return self.hits / max(self.trials, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Clopper–Pearson interval."""
        k, n = self.hits, self.trials
        low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
        return float(low), float(beta.ppf(0.975, k + 1, n - k) if k < n else 1.0)

    @property
    def holds(self) -> bool:
        """Whether the measured share is on the right side of its bound."""
        if self.bound == "—":
            return True
        sense, value = self.bound[0], float(self.bound[1:].rstrip(" %")) / 100
        return self.share <= value if sense == "≤" else self.share >= value


def audit(x: Floats, shape: Shape) -> JudgedInMemory:
    """Audit series given in sd, shape (S, n), as one fleet of AECE histories."""
    clock = Clock(
        AS_OF,
        AS_OF - shape.n * shape.spacing,
        AS_OF - shape.analysis * shape.spacing,
        AS_OF - MICROSECONDS_PER_DAY,
        None,
        None,
        1_000,
    )
    step = max(BLOCK_VALUES // shape.n, 1)
    blocks = (_block(0.2 + 0.002 * x[i : i + step], shape, i) for i in range(0, len(x), step))
    return judge_fleet(blocks, AuditPlan(), ("aece",), clock)


def _block(values: Floats, shape: Shape, first: int) -> SeriesBlock:
    size = len(values)
    stamps = AS_OF - shape.spacing * np.arange(shape.n - 1, -1, -1)
    return SeriesBlock(
        tuple(f"m{i:06d}" for i in range(first, first + size)),
        ("c",) * size,
        np.arange(size + 1, dtype=np.int64) * shape.n,
        np.tile(stamps, size),
        {"aece": values.ravel()},
        None,
        np.zeros(size, np.bool_),
        {},
        np.full(size, -1, np.int64),
    )


def correlated(rng: np.random.Generator, series: int, n: int, phis: tuple[float, ...]) -> Floats:
    """Return AR(1) series, equally many of every φ, mixed."""
    parts = [healthy_series(rng, -(-series // len(phis)), n, phi=phi) for phi in phis]
    x = np.concatenate(parts)
    rng.shuffle(x)
    return x[:series]


def healthy(rng: np.random.Generator, series: int) -> Iterator[Row]:
    """False alarms of healthy fleets."""
    settings = [
        ("iid", {}),
        ("AR(1) φ = .5", {"phi": 0.5}),
        ("AR(1) φ = .7", {"phi": 0.7}),
        ("t5 tails, φ = .3", {"phi": 0.3, "noise": "t5"}),
        ("weekly season, φ = .3", {"phi": 0.3, "noise": "weekly"}),
        ("daily season, φ = .3", {"phi": 0.3, "noise": "daily"}),
    ]
    for name, how in settings:
        for shape, label in ((MIDDLE, "n = 200"), (HOURLY, "hourly"), (DAILY, "daily")):
            if shape is DAILY and how.get("noise") == "daily":
                continue
            size = series // 4 if shape is HOURLY else series
            x = healthy_series(rng, size, shape.n, slots_per_day=_per_day(shape), **how)
            hits = int(audit(x, shape).alarmed.sum())
            yield Row("healthy series alarmed", f"{name}, {label}", "≤ 0.1 %", hits, size)


def _per_day(shape: Shape) -> int:
    return MICROSECONDS_PER_DAY // shape.spacing


def small_fleets(rng: np.random.Generator, nights: int) -> Iterator[Row]:
    """Healthy nights of small fleets with any alarm."""
    for shape, label in ((MIDDLE, "hourly"), (DAILY, "daily")):
        for size in (1, 15, 100, 500):
            count = nights if size <= 100 else nights // 4
            alarms = sum(
                audit(healthy_series(rng, size, shape.n, phi=0.3), shape).alarmed.any()
                for _ in range(count)
            )
            bound = "≤ 1 %" if size <= 100 else "—"
            yield Row(
                "healthy nights with any alarm",
                f"{size} series, {label}",
                bound,
                int(alarms),
                count,
            )


def discoveries(rng: np.random.Generator, series: int, fleets: int) -> Iterator[Row]:
    """False discovery proportion and recall at 1 % broken, a 2σ step in the last third."""
    low, high = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    settings = [
        ("φ ≤ .5", low, "≥ 99 %"),
        ("φ ≤ .7", high, "≥ 93 %"),
        ("φ = .5", (0.5,), "≥ 99 %"),
        ("φ = .7", (0.7,), "—"),
    ]
    for name, phis, bound in settings:
        false, found, broken, shares = 0, 0, 0, []
        for _ in range(fleets if len(phis) > 1 else max(fleets // 4, 1)):
            x = correlated(rng, series, MIDDLE.n, phis)
            count = series // 100
            x[:count] += np.where(np.arange(MIDDLE.n) >= MIDDLE.n - MIDDLE.analysis, 2.0, 0.0)
            alarmed = audit(x, MIDDLE).alarmed
            found, broken = found + int(alarmed[:count].sum()), broken + count
            false += int(alarmed[count:].sum())
            shares.append(alarmed[count:].sum() / max(alarmed.sum(), 1))
        mean = float(np.mean(shares))
        yield Row("recall of a 2σ step", f"1 % broken, {name}", bound, found, broken)
        yield Row(
            f"false discovery proportion (mean of fleets {mean:.3f})",
            name,
            "≤ 5 %",
            false,
            false + found,
        )


def masses(rng: np.random.Generator, series: int) -> Iterator[Row]:
    """Recall when much of the fleet breaks at once."""
    for share in (0.12, 0.25, 0.5, 1.0):
        x = correlated(rng, series, MIDDLE.n, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5))
        count = round(series * share)
        x[:count] = plant(x[:count], "step", 2.5, MIDDLE.n - MIDDLE.analysis)
        hits = int(audit(x, MIDDLE).alarmed[:count].sum())
        yield Row(
            "recall of a 2.5σ step", f"{share:.0%} broken at once, φ ≤ .5", "≥ 99 %", hits, count
        )


def single_faults(rng: np.random.Generator, series: int) -> Iterator[Row]:
    """Recall of every kind of fault at 1 % broken."""
    n, at = MIDDLE.n, MIDDLE.n - MIDDLE.analysis
    kinds: list[tuple[str, str, Plan]] = [
        (
            "2σ step, unknown split",
            "≥ 90 %",
            lambda x, r: plant(x, "step", 2.0, int(r.integers(at, n - 15))),
        ),
        ("2σ drift over the window", "≥ 99 %", lambda x, _: plant(x, "drift", 2.0, 0)),
        ("sd × 2", "≥ 56 %", lambda x, _: plant(x, "variance", 2.0, at)),
        (
            "1.5σ oscillation, period 2 to 16",
            "≥ 95 %",
            lambda x, r: plant(x, "oscillation", 1.5, at, period=float(r.uniform(2, 16))),
        ),
        (
            "transient 4σ, 15 slots, gone",
            "≤ 1 %",
            lambda x, r: plant(x, "transient", 4.0, int(r.integers(at, n - 35))),
        ),
    ]
    for phi in (0.0, 0.3):
        for name, bound, fault in kinds:
            hits = trials = 0
            for _ in range(10):
                x = healthy_series(rng, series, n, phi=phi)
                count = series // 100
                for i in range(count):
                    x[i : i + 1] = fault(x[i : i + 1], rng)
                hits += int(audit(x, MIDDLE).alarmed[:count].sum())
                trials += count
            yield Row(
                "recall" if bound[0] == "≥" else "alarmed",
                f"{name}, φ = {phi}",
                bound if phi == 0 else "—",
                hits,
                trials,
            )


def last_day(rng: np.random.Generator, series: int) -> Iterator[Row]:
    """Recall of large steps in the last day of hourly data; of steps in daily data."""
    for size in (5.0, 8.0, 12.0, 30.0):
        x = healthy_series(rng, series // 4, HOURLY.n, phi=0.5)
        count = series // 40
        x[:count] = plant(x[:count], "step", size, HOURLY.n - 24)
        hits = int(audit(x, HOURLY).alarmed[:count].sum())
        yield Row("recall, last 24 h, hourly", f"{size:g}σ step, φ = .5", "≥ 100 %", hits, count)
    for days in (1, 3, 5, 7):
        x = healthy_series(rng, series, DAILY.n, phi=0.3)
        count = series // 50
        x[:count] = plant(x[:count], "step", 4.0, DAILY.n - days)
        hits = int(audit(x, DAILY).alarmed[:count].sum())
        yield Row("recall, daily data", f"4σ step after {days} d, φ = .3", "—", hits, count)


def coverage(rng: np.random.Generator, series: int) -> Iterator[Row]:
    """How often the 95 % forecast interval holds the next day's mean."""
    for phi in (0.0, 0.5):
        x = healthy_series(rng, series, MIDDLE.n + 24, phi=phi)
        table = audit(x[:, : MIDDLE.n], MIDDLE).evidence
        mean = 0.2 + 0.002 * x[:, MIDDLE.n :].mean(axis=1)
        low, high = (table[name].to_numpy() for name in ("interval_low", "interval_high"))
        hits = int(((low <= mean) & (mean <= high)).sum())
        yield Row("95 % forecast interval holds", f"next 24 h, φ = {phi}", "—", hits, series)


def rows(rng: np.random.Generator, series: int, fleets: int) -> Iterator[Row]:
    """Every line of the table."""
    yield from healthy(rng, series)
    yield from small_fleets(rng, 80 * fleets)
    yield from discoveries(rng, series, fleets)
    yield from masses(rng, series)
    yield from single_faults(rng, series)
    yield from last_day(rng, series)
    yield from coverage(rng, series)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=None, help="fresh by default")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--fleets", type=int, default=20)
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    console = Console(width=120)
    found = list(
        track(
            rows(np.random.default_rng(seed), options.series, options.fleets),
            "simulating",
            total=70,
            console=Console(stderr=True),
        )
    )
    console.print(_table(found, seed))
    measured = [
        asdict(r) | {"share": r.share, "interval": r.interval, "holds": r.holds} for r in found
    ]
    path = write("statistics", {"seed": seed, "series": options.series, "rows": measured})
    console.print(f"{sum(r.holds for r in found)} of {len(found)} hold; written to {path}")


def _table(found: list[Row], seed: int) -> Table:
    table = Table(title=f"seed {seed}", box=None, header_style="bold")
    for name in ("promise", "setting", "bound", "measured", "95 % interval", ""):
        table.add_column(name)
    for row in found:
        low, high = row.interval
        mark = "" if row.bound == "—" else ("holds" if row.holds else "MISSED")
        table.add_row(
            row.promise,
            row.setting,
            row.bound,
            f"{row.share:.2%} of {row.trials:,}",
            f"{low:.2%} – {high:.2%}",
            mark,
        )
    return table


if __name__ == "__main__":
    main()
