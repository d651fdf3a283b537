"""Health of every model-class and of the fleet; compliance with the SLOs over seven nights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from calhard.findings.columns import Objects, words
from calhard.schema import HEALTH

Group = tuple[str, str]
SHOWN = 5
STATES = ("HEALTHY", "INSUFFICIENT", "DEGRADED", "SEVERE", "CRITICAL")


def health(
    groups: pa.Table,
    violations: pa.Table,
    regressions: pa.Table,
    improvements: pa.Table,
    warnings: pa.Table,
) -> pa.Table:
    """Return one row per (model, class), `schema.HEALTH`.

    CRITICAL: a confirmed critical violation or regression. SEVERE: a severe regression or a red
    warning. DEGRADED: any other confirmed finding or an orange warning. INSUFFICIENT: nothing
    could be audited, or a series is indeterminate: damaged data hide whatever they hide. Else
    HEALTHY. Changes for the better make nothing worse.
    """
    verdict, direction = words(violations, "verdict"), words(violations, "direction")
    confirmed = violations.filter(pa.array((verdict == "violated") & (direction == "worse")))
    counts = {
        "violations": Counter(_keys(confirmed)),
        "unconfirmed": Counter(_keys(violations.filter(pa.array(verdict == "unconfirmed")))),
        "regressions": Counter(_keys(regressions)),
        "improvements": Counter(_keys(improvements)),
        "warnings": Counter(_keys(warnings)),
    }
    worst: dict[Group, int] = {}
    _raise(worst, confirmed, "severity", {"critical": 4}, 2)
    _raise(worst, regressions, "severity", {"critical": 4, "severe": 3}, 2)
    _raise(worst, warnings, "warning_level", {"red": 3, "orange": 2}, 0)
    keys = list(_keys(groups))
    unknown = (groups["audited"].to_numpy() == 0) | (groups["indeterminate"].to_numpy() > 0)
    state = np.array([worst.get(key, 0) for key in keys], np.int64)
    state = np.where((state == 0) & unknown, 1, state)
    columns = {
        "health": pa.array([STATES[i] for i in state], pa.string()),
        **{
            name: pa.array([count.get(key, 0) for key in keys], pa.int64())
            for name, count in counts.items()
        },
    }
    return pa.table(
        [columns.get(n, groups[n] if n in groups.schema.names else None) for n in HEALTH.names],
        schema=HEALTH,
    )


def _keys(table: pa.Table) -> Iterable[Group]:
    return zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True)


def _raise(
    worst: dict[Group, int], table: pa.Table, column: str, levels: dict[str, int], other: int
) -> None:
    for key, word in zip(_keys(table), words(table, column), strict=True):
        worst[key] = max(worst.get(key, 0), levels.get(word, other))


@dataclass(frozen=True, slots=True)
class Compliance:
    """Share of model-class nights without a confirmed violation, and what is left of the budget."""

    nights: int
    violated: int
    goal: float

    @property
    def rate(self) -> float | None:
        """1 − violated/nights; None without a night."""
        return 1.0 - self.violated / self.nights if self.nights else None

    @property
    def budget_left(self) -> float | None:
        """1 − (share violated)/(1 − goal): 1 untouched, 0 used up, negative overdrawn."""
        if self.rate is None:
            return None
        allowed = 1.0 - self.goal
        used = 1.0 - self.rate
        return 1.0 - used / allowed if allowed > 0 else (1.0 if used == 0 else -1.0)


def compliance(table: pa.Table, goal: float) -> Compliance:
    """Return the compliance of a health table."""
    nights, violated = (
        int(np.sum(table[name].to_numpy())) for name in ("nights", "nights_violated")
    )
    return Compliance(nights, violated, goal)


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """Whether the fleet is healthy, and if not why."""

    healthy: bool
    reasons: tuple[str, ...]


def fleet_health(
    health_table: pa.Table,
    regressions: pa.Table,
    warnings: pa.Table,
    *,
    coverage: float,
    coverage_bound: float,
    inflation: dict[str, float],
    cap: float,
) -> FleetHealth:
    """Return whether there is no critical, at most one severe, no red, and the tests are sound.

    Sound: coverage reaches its bound, something was audited, and no family's raw λ exceeds the cap
    (else the null is broken, or many are failing).
    """
    states: Objects = words(health_table, "health")
    severity = words(regressions, "severity")
    red = int(np.sum(words(warnings, "warning_level") == "red"))
    critical = int(np.sum(states == "CRITICAL"))
    severe = int(np.sum(severity == "severe"))
    audited = int(np.sum(health_table["audited"].to_numpy()))
    broken = _families(name for name, value in inflation.items() if value > cap)
    found = [
        (critical > 0, _are(critical, "critical model-class", "critical model-classes")),
        (severe > 1, _are(severe, "severe regression")),
        (red > 0, _are(red, "red early warning")),
        (audited == 0, "nothing could be audited"),
        (coverage < coverage_bound, _short_of(coverage, coverage_bound)),
        (
            bool(broken),
            f"λ above {cap:g} in {broken}: more is off there than chance explains",
        ),
    ]
    reasons = tuple(text for holds, text in found if holds)
    return FleetHealth(not reasons, reasons)


def _are(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _short_of(coverage: float, bound: float) -> str:
    """Coverage in percent, rounded down: what falls short never reads as the bound itself."""
    return f"coverage {np.floor(1000.0 * coverage) / 10.0:g} % is under {100.0 * bound:g} %"


def _families(names: Iterable[str]) -> str:
    """``metric/cadence/head`` by family: ``aece/hourly (level, scan), …``, five at most."""
    heads: dict[str, list[str]] = {}
    for name in sorted(names):
        family, _, head = name.rpartition("/")
        heads.setdefault(family, []).append(head)
    shown = [f"{family} ({', '.join(found)})" for family, found in list(heads.items())[:SHOWN]]
    more = [f"{len(heads) - SHOWN} more"] if len(heads) > SHOWN else []
    return ", ".join(shown + more)
