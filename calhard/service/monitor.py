"""`DriftMonitor`: one model's snapshots against its baseline and its SLOs, inside a service."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from calhard.errors import ConfigError
from calhard.findings.health import Compliance
from calhard.findings.snapshot import SnapshotViolation, snapshot_healthy, snapshot_violations
from calhard.schema import WHOLE_MODEL
from calhard.service.instants import Clock, Timekeeper
from calhard.service.metrics import MetricsError, Sample, read_sample
from calhard.service.rules import Rules, plan_of
from calhard.service.texts import weekly_text
from calhard.service.week import RecordedViolation, Tally, Week, compliance_of

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

BACKWARDS = "older than the newest check"
CONFLICT = "same instant, other values"
FUTURE = "ahead of the clock"
NARROWER = 1e-6
NO_BASELINE = (
    "no baseline to compare with; call set_baseline first, for example "
    'monitor.set_baseline({"aece": 0.012, "dece": 0.010, "alpha": 0.50})'
)


class _Bound(NamedTuple):
    """The values of one metric that are within its SLO."""

    low: float
    high: float
    needs_baseline: bool


class DriftMonitor:
    """SLO checks of one model's calibration metrics against a baseline, inside a service.

    `check_slos` compares a snapshot with the baseline and the bounds of the plan, and keeps seven
    days of what it found. A snapshot has no error to estimate: what is beyond its bound is
    violated, by the rules and severities of `calhard.findings.snapshot`; at the bound is within it.
    For changes that noise may explain see `RegressionDetector`.

    Parameters
    ----------
    plan : AuditPlan or Slos, optional
        Bounds: ``AuditPlan(slos={"aece_threshold": 0.02})`` or ``Slos(aece_threshold=0.02)``.
    model_id, class_id : str
        Who it is: for reports, and for the plan's overrides.
    clock : callable, optional
        Returns the present as an aware datetime; the system's by default.

    Raises
    ------
    ConfigError
        ``plan`` is no plan, or SLO monitoring is off in it.

    Notes
    -----
    Safe to share between threads. Memory is bounded: hourly tallies of 7 days, and the latest
    ``plan.regression.max_history`` violations in full.

    Examples
    --------
    >>> from calhard import DriftMonitor
    >>> monitor = DriftMonitor()
    >>> monitor.set_baseline({"aece": 0.012, "alpha": 0.50})
    >>> [(v.metric, v.severity) for v in monitor.check_slos({"aece": 0.025, "alpha": 0.52})]
    [('aece', 'low')]
    """

    def __init__(
        self,
        plan: Rules | None = None,
        *,
        model_id: str = "model",
        class_id: str = WHOLE_MODEL,
        clock: Clock | None = None,
    ) -> None:
        self._plan: AuditPlan = plan_of(plan)
        if not self._plan.slo_monitoring:
            raise ConfigError("SLO monitoring is off in the plan (slo_monitoring = false)")
        self._catalogue = self._plan.metric_catalogue()
        self._key = model_id, class_id
        windows = self._plan.windows
        self._time = Timekeeper(clock, windows.timezone, windows.clock_skew_us)
        self._lock = RLock()
        self._baseline: dict[str, float] | None = None
        self._week = Week(self._plan.regression.max_history)
        self._last: tuple[int, dict[str, float], list[SnapshotViolation]] | None = None
        self._rejections: Counter[str] = Counter()
        self._duplicates = 0
        self._bounds = self._within({})

    def set_baseline(self, metrics: Sample) -> None:
        """Pin what is normal; drift is measured against it from the next check on.

        Raises
        ------
        MetricsError
            A value is no number, not finite or out of its metric's range, or a metric is unknown;
            the former baseline stays.
        """
        values, _ = read_sample(metrics, self._catalogue)
        for name, value in values.items():
            metric = self._catalogue[name]
            if not (math.isfinite(value) and metric.low <= value <= metric.high):
                raise MetricsError(
                    f"baseline {name} = {value:g}; expected a finite number in "
                    f"[{metric.low:g}, {metric.high:g}], such as a healthy week's mean"
                )
        with self._lock:
            self._baseline = values
            self._bounds = self._within(values)

    @property
    def baseline(self) -> Mapping[str, float] | None:
        """The pinned values, a copy; None before `set_baseline`."""
        with self._lock:
            return None if self._baseline is None else dict(self._baseline)

    def check_slos(
        self, metrics: Sample, timestamp: datetime | str | float | None = None
    ) -> list[SnapshotViolation]:
        """Return what of a snapshot is beyond its bound, in the order of the metric catalogue.

        A value that is not finite or out of its range is beyond every bound. A snapshot that is
        older than the newest one, contradicts it at its instant, or lies ahead of the clock is
        judged too, but not recorded: it is counted in `rejections`.

        Parameters
        ----------
        metrics : mapping of metric name to number, or CalibrationMetrics
        timestamp : aware datetime, ISO text or seconds since 1970, optional
            The clock's time by default.

        Raises
        ------
        ConfigError
            A drift is to be judged and no baseline is set: an empty list would look healthy.
        MetricsError
            The snapshot or its instant is of a wrong kind; nothing was recorded.
        """
        values, _ = read_sample(metrics, self._catalogue)
        with self._lock:
            if self._baseline is None and any(self._bounds[n].needs_baseline for n in values):
                raise ConfigError(NO_BASELINE)
            stamp = self._time.stamp(timestamp, None if self._last is None else self._last[0])
            found = self._judge(values)
            if self._in_time(stamp, values):
                self._week.count(stamp, found)
                self._last = stamp, values, found
            return found

    def _judge(self, values: dict[str, float]) -> list[SnapshotViolation]:
        """Compare with the bounds as numbers; only what is beyond one is told in full."""
        bounds = self._bounds
        for name, value in values.items():
            low, high, _ = bounds[name]
            if not low <= value <= high:
                model, class_ = self._key
                return snapshot_violations(
                    self._baseline or {}, values, self._plan, model_id=model, class_id=class_
                )
        return []

    def _within(self, baseline: Mapping[str, float]) -> dict[str, _Bound]:
        """The interval that each metric's SLO allows, as `snapshot_violations` has it.

        Narrower by a millionth: what lies that close to a bound is judged by `snapshot_violations`.
        """
        found = {}
        for name, metric in self._catalogue.items():
            low, high = metric.low, metric.high
            bound = self._plan.threshold(name, *self._key).warn
            if metric.slo == "drift" and name in baseline:
                reach = bound * (1.0 - NARROWER)
                low, high = max(low, baseline[name] - reach), min(high, baseline[name] + reach)
            elif metric.slo in {"drift", "none"}:  # nothing to compare with
                low, high = -math.inf, math.inf
            elif metric.slo == "floor":
                low = max(low, bound + NARROWER * abs(bound))
            else:
                high = min(high, bound)
            found[name] = _Bound(low, high, metric.bound == "drift")
        return found

    def _in_time(self, stamp: int, values: dict[str, float]) -> bool:
        if self._time.is_future(stamp):
            self._rejections[FUTURE] += 1
            return False
        if self._last is None or stamp > self._last[0]:
            return True
        if stamp < self._last[0]:
            self._rejections[BACKWARDS] += 1
        elif _same(values, self._last[1]):
            self._duplicates += 1
        else:
            self._rejections[CONFLICT] += 1
        return False

    @property
    def rejected(self) -> int:
        """Checks that were judged but not recorded; `rejections` says why."""
        with self._lock:
            return self._rejections.total()

    @property
    def rejections(self) -> Mapping[str, int]:
        """Refusals by reason, a copy."""
        with self._lock:
            return dict(self._rejections)

    @property
    def duplicates(self) -> int:
        """Checks that repeated the newest one, and were ignored."""
        with self._lock:
            return self._duplicates

    def unchecked(self) -> tuple[str, ...]:
        """Return the metrics of the last check that no bound could judge for want of a baseline."""
        with self._lock:
            if self._last is None:
                return ()
            base = self._baseline or {}
            return tuple(
                n for n in self._last[1] if self._bounds[n].needs_baseline and n not in base
            )

    def is_healthy(self) -> bool:
        """Return whether the last check found nothing critical or high, and left nothing out.

        False before the first check: no data is never healthy.
        """
        with self._lock:
            judged = self._last is not None and not self.unchecked()
            return judged and self._last is not None and snapshot_healthy(self._last[2])

    def recent_violations(self, days: float = 7.0) -> list[RecordedViolation]:
        """Return the violations of the last days, the newest first.

        Days end now where the clock stamps the checks, else at the newest check. At most
        ``plan.regression.max_history`` are kept.
        """
        with self._lock:
            return self._week.violations(self._now(), days)

    def compliance(self) -> Compliance:
        """Return the share of the last seven days' checks without a violation for the worse."""
        return compliance_of(self._tally(), self._plan.slos.compliance_goal)

    def _tally(self) -> Tally:
        with self._lock:
            return self._week.tally(self._now())

    def _now(self) -> int:
        if self._last is None:
            return self._time.now()
        return self._last[0] + self._time.silence(self._last[0])

    def weekly_report(self) -> str:
        """Return the weekly report of the last seven days, under the nightly one's headings."""
        with self._lock:
            return weekly_text(
                self._key,
                self._now(),
                self._tally(),
                self.compliance(),
                self.recent_violations(),
                healthy=self.is_healthy(),
                unchecked=self.unchecked(),
                rejected=self.rejected,
            )


def _same(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Return whether two snapshots agree, NaN with NaN."""
    return a.keys() == b.keys() and all(
        b[n] == v or (math.isnan(v) and math.isnan(b[n])) for n, v in a.items()
    )
