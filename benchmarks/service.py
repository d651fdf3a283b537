"""The in-service API: speed beside SciPy, false alarms of healthy streams, delay of detection.

    python -m benchmarks.service [--streams 1000] [--only speed alarms warnings delay] [--seed 1]

Speed: one sample added to a full history (1,000 samples, five metrics) and checked against its
SLOs; CPU time of the thread. False alarms: streams of 1,000 hourly samples of five independent
metrics, judged after every sample up to 100, every fourth one up to 300 and every tenth one after,
by the same kernels as `RegressionDetector` (many streams at once, without anything of a fleet).
Writes ``benchmarks/results/service.json``.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from benchmarks.machine import RESULTS, write
from calhard.assess.block import Rules, assess_block
from calhard.assess.columns import Columns, to_columns
from calhard.assess.correlation import CorrelationSketch
from calhard.assess.windows import CADENCES
from calhard.findings.warnings import LEVELS
from calhard.judge.batch import judge_batch
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.judge.selection import combine
from calhard.plan import AuditPlan
from calhard.schema import HEADS, MICROSECONDS_PER_HOUR
from calhard.series import SeriesBlock
from calhard.service import DriftMonitor, RegressionDetector
from calhard.service.changes import ALARM_LEVEL, CHECKS, OLDER_SHARES, WARNING_Q, falls_apart
from calhard.service.stream import LEAST_WARNING
from calhard.service.timeline import LEAST_ANALYSIS, Timeline
from calhard.service.trends import YOUNG, rank_p
from calhard.simulate import healthy_series, plant
from calhard.simulate.noise import Noise
from calhard_kernels.scan import MARGIN

Floats = NDArray[np.float64]
PLAN = AuditPlan()
YOUNG_WINDOWS = {"min_reference": LEAST_WARNING - LEAST_ANALYSIS, "min_analysis": LEAST_ANALYSIS}
YOUNG_PLAN = PLAN.model_copy(update={"windows": PLAN.windows.model_copy(update=YOUNG_WINDOWS)})
METRICS = ("aece", "dece", "alpha", "clamp_rate", "merged_bin_rate")
N, LEAST = 1_000, 13
START = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL, SD = 0.2, 0.002
BASELINE = {"aece": 0.02, "dece": 0.02, "alpha": 0.5, "clamp_rate": 0.05, "merged_bin_rate": 0.02}
NOISE = {"aece": 1e-3, "dece": 1e-3, "alpha": 5e-3, "clamp_rate": 5e-3, "merged_bin_rate": 2e-3}


@dataclass(frozen=True)
class Line:
    """One measurement."""

    what: str
    setting: str
    value: float
    unit: str
    gate: str = ""


def samples(rng: np.random.Generator, n: int) -> list[dict[str, float]]:
    """Return n healthy samples of the five metrics."""
    columns = {m: BASELINE[m] + NOISE[m] * rng.standard_normal(n) for m in METRICS}
    return [{m: float(columns[m][i]) for m in METRICS} for i in range(n)]


def speed(rng: np.random.Generator, adds: int = 5_000, peers: int = 300) -> Iterator[Line]:
    """One add and check at full history, one judgement, and SciPy's tests over the same history."""
    detector, monitor, hour = RegressionDetector(), DriftMonitor(), timedelta(hours=1)
    monitor.set_baseline(BASELINE)
    drawn = samples(rng, N + adds)
    for i in range(N):
        detector.add_metrics(drawn[i], START + i * hour)
    taken = []
    for i in range(N, N + adds):
        moment, sample = START + i * hour, drawn[i]
        start = time.thread_time()
        detector.add_metrics(sample, moment)
        monitor.check_slos(sample, moment)
        taken.append(time.thread_time() - start)
    broken = {m: v + 0.3 for m, v in BASELINE.items()}
    start = time.thread_time()
    for k in range(200):
        monitor.check_slos(broken, START + (N + adds + k) * hour)
    violated = (time.thread_time() - start) / 200
    judging = []
    for k in range(10):
        detector.add_metrics(drawn[k], START + (N + adds + k) * hour)
        start = time.thread_time()
        detector.regressions()
        judging.append(time.thread_time() - start)
    judged = statistics.median(judging)
    peer = statistics.median(_scipy_add(rng, drawn, peers))
    micro = 1e6
    where = "1,000 samples, 5 metrics"
    yield Line("add + check, median", where, statistics.median(taken) * micro, "µs", "≤ 150")
    yield Line("add + check, 99 %", where, float(np.quantile(taken, 0.99)) * micro, "µs", "≤ 1000")
    yield Line("add + check, longest", where, max(taken) * micro, "µs")
    yield Line("check that finds 5 violations", where, violated * micro, "µs", "≤ 1000")
    yield Line("SciPy: Welch + linregress, median", where, peer * micro, "µs")
    yield Line("SciPy ÷ add + check", where, peer / statistics.median(taken), "×")
    yield Line("whole judgement, when asked", where, judged * 1e3, "ms")


def _scipy_add(rng: np.random.Generator, drawn: list[dict[str, float]], adds: int) -> list[float]:
    """Seconds of each add with Welch's test and a line over the history of every metric."""
    del rng
    kept = {m: [s[m] for s in drawn[:N]] for m in METRICS}
    slot, taken = np.arange(N), []
    for sample in drawn[N : N + adds]:
        start = time.thread_time()
        for m in METRICS:
            values = kept[m]
            values.append(sample[m])
            del values[0]
            x = np.array(values)
            stats.ttest_ind(x[:-200], x[-200:], equal_var=False)
            stats.linregress(slot, x)
        taken.append(time.thread_time() - start)
    return taken


def smallest_p(x: Floats, metric: str = "aece") -> Floats:
    """Return what a detector compares with its level, for many streams of one metric; shape (S,).

    The combined p of the primary windows, and twice that of each of the older ones where a series
    falls apart visibly: both as `calhard.service.judgement` has them.
    """
    p = _combined(x, metric, None)
    apart = falls_apart(x) if x.shape[1] >= 2 * MARGIN else np.zeros(len(x), np.bool_)
    for share in OLDER_SHARES:
        rows = np.flatnonzero(apart)
        if len(rows) and x.shape[1] - int(x.shape[1] * share) >= PLAN.windows.min_reference:
            older = len(OLDER_SHARES) * _combined(x[rows], metric, share)
            p[rows] = np.fmin(p[rows], older)
    return p


def _combined(x: Floats, metric: str, share: float | None) -> Floats:
    factors = np.ones((1, len(CADENCES), len(HEADS)))
    p, _ = combine(_judged(x, metric, share), factors, PLAN.regression.weights())
    return p


def _judged(x: Floats, metric: str, share: float | None, plan: AuditPlan = PLAN) -> Columns:
    """The audit's judgement of S hourly series, (S, n), as if each were alone."""
    size, n = x.shape
    stamps = 1_767_225_600_000_000 + MICROSECONDS_PER_HOUR * np.arange(n, dtype=np.int64)
    line = Timeline.of(stamps, plan, share)
    chosen = {metric: plan.metric_catalogue()[metric]}
    block = SeriesBlock(
        tuple(f"m{i:06d}" for i in range(size)),
        ("c",) * size,
        np.arange(size + 1, dtype=np.int64) * n,
        np.tile(line.judged, size),
        {metric: np.ascontiguousarray(x).ravel()},
        None,
        np.zeros(size, np.bool_),
        {},
        np.full(size, -1, np.int64),
    )
    sketch = CorrelationSketch.zero(1)
    groups, columns = assess_block(block, Rules.of(plan, chosen, line.clock), sketch)
    ruling = Ruling(plan, line.clock, chosen, {})
    return to_columns(judge_batch(groups, to_columns(columns), ruling, ScoreSketch.zero(1)))


def at_risk(x: Floats) -> NDArray[np.bool_]:
    """Return which of many streams of AECE a detector of five metrics would warn of, shape (S,)."""
    n = x.shape[1]
    plan = YOUNG_PLAN if n < LEAST else PLAN
    judged = _judged(x, "aece", None, plan)
    risky = (judged["risk"] > LEVELS[-1][0]) & (judged["slope"] > 0)
    sure = judged["p_slope"]
    if n < YOUNG:
        sure = np.fmin(sure, [rank_p(row) for row in x])
    warned: NDArray[np.bool_] = risky & (len(METRICS) * sure <= WARNING_Q)
    return warned


def warned(rng: np.random.Generator, streams: int) -> Iterator[Line]:
    """Healthy streams of five metrics with any early warning in 1,000 samples."""
    sizes = [*range(LEAST_WARNING, 40), *range(40, N + 1, 12)]
    for phi in (0.0, 0.5, 0.7):
        x = LEVEL + SD * healthy_series(rng, streams * len(METRICS), N, phi=phi)
        any_ = np.zeros(len(x), np.bool_)
        for n in track(sizes, description=f"warnings, φ = {phi:g}", transient=True):
            for rows in np.array_split(np.arange(len(x)), len(x) * n // 2**18 + 1):
                any_[rows] |= at_risk(x[rows, :n])
        share = float(np.mean(any_.reshape(streams, len(METRICS)).any(axis=1)))
        where = f"φ = {phi:g}, normal, bound at 5 sd"
        yield Line("healthy streams with an early warning", where, 100.0 * share, "%")


def first_alarm(x: Floats, level: float, sizes: list[int], name: str = "") -> NDArray[np.int64]:
    """Return at how many samples each series first alarmed, shape (S,); 0 where it never did."""
    first = np.zeros(len(x), np.int64)
    for n in track(sizes, description=name, transient=True):
        calm = np.flatnonzero(first == 0)
        for part in np.array_split(calm, len(calm) * n // 2**18 + 1):
            if len(part):
                first[part[smallest_p(x[part, :n]) <= level]] = n
    return first


def alarms(rng: np.random.Generator, streams: int) -> Iterator[Line]:
    """Healthy streams of five metrics with any alarm in 1,000 samples."""
    sizes = [*range(LEAST, 100), *range(100, 300, 4), *range(300, N + 1, 10)]
    settings: list[tuple[float, Noise]] = [
        (0.0, "normal"),
        (0.5, "normal"),
        (0.7, "normal"),
        (0.0, "t5"),
    ]
    level = ALARM_LEVEL / (CHECKS * len(METRICS))
    for phi, noise in settings:
        x = LEVEL + SD * healthy_series(rng, streams * len(METRICS), N, phi=phi, noise=noise)
        name = f"φ = {phi:g}, {noise}"
        fired = first_alarm(x, level, sizes, name).reshape(streams, len(METRICS)) > 0
        share = float(np.mean(fired.any(axis=1)))
        yield Line("healthy streams with an alarm", name, 100.0 * share, "%", "aim ≤ 1")


def delay(rng: np.random.Generator, streams: int) -> Iterator[Line]:
    """Samples from a step at the 801st of 1,000 to its alarm, and how many were found."""
    at, level = 800, ALARM_LEVEL / (CHECKS * len(METRICS))
    sizes = [*range(at + 1, at + 60), *range(at + 60, N + 1, 10)]
    for phi in (0.0, 0.5, 0.7):
        for size in (2.0, 3.0, 5.0):
            x = plant(healthy_series(rng, streams, N, phi=phi), "step", size, at)
            first = first_alarm(LEVEL + SD * x, level, sizes, f"step {size:g}")
            found = first[first > 0] - at
            name = f"step of {size:g} sd, φ = {phi:g}"
            yield Line("found", name, 100.0 * len(found) / streams, "%")
            if len(found):
                yield Line("samples until found, median", name, float(np.median(found)), "")


PARTS = ("speed", "alarms", "warnings", "delay")


def measured(part: str, rng: np.random.Generator, streams: int) -> list[Line]:
    """Return the lines of one part of the table; warnings and delays need fewer streams."""
    few = max(streams // 5, 20)
    work = {
        "speed": lambda: speed(rng),
        "alarms": lambda: alarms(rng, streams),
        "warnings": lambda: warned(rng, few),
        "delay": lambda: delay(rng, few),
    }
    return list(work[part]())


def kept() -> dict[str, object]:
    """Return what is already in the file, by part: a part is measured anew by ``--only``."""
    path = RESULTS / "service.json"
    if not path.exists():
        return {}
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))["measured"]
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", nargs="*", choices=PARTS)
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    table = Table(title="in a service", box=None, header_style="bold")
    for name in ("what", "setting", "measured", "gate"):
        table.add_column(name)
    results = kept()
    for part in options.only or PARTS:
        lines = measured(part, np.random.default_rng(seed), options.streams)
        results[part] = {
            "seed": seed,
            "streams": options.streams,
            "lines": [asdict(line) for line in lines],
        }
        for line in lines:
            table.add_row(line.what, line.setting, f"{line.value:,.4g} {line.unit}", line.gate)
    console = Console(width=120)
    console.print(table)
    console.print(f"written to {write('service', results)}")


if __name__ == "__main__":
    main()
