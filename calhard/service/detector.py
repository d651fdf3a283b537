"""`RegressionDetector`: the audit's regressions and early warnings for one stream in a service."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from threading import RLock

from calhard.schema import WHOLE_MODEL
from calhard.service.health import health_of
from calhard.service.instants import Clock, Timekeeper, instant
from calhard.service.intake import Intake
from calhard.service.judgement import Judgement, judge_stream
from calhard.service.metrics import Sample, kept, read_sample
from calhard.service.results import DetectedRegression, EarlyWarning, HealthStatus, MetricTrend
from calhard.service.rules import Rules, plan_of
from calhard.service.stream import Stream
from calhard.service.texts import regression_text


class RegressionDetector:
    """Regressions and early warnings of one model's calibration metrics, inside a service.

    Keep one per model and class; feed it every sample (`add_metrics`, some tens of microseconds)
    and ask it at any time (`regressions`, `early_warnings`, `health_status`): it judges the kept
    history with the statistics of the nightly audit, some tens of milliseconds, once per new sample
    at most. `suspicious` tells at no cost when asking is worthwhile.

    In a service there is no fleet: correlations are not shrunk towards a family's and there is no
    inflation factor λ. Checks come after every sample, so an alarm needs a combined p ≤ 1e−5/M with
    M metrics tested (1 % spread over 1,000 checks) instead of the audit's 1e−3; what a nightly
    audit would confirm already is `suspected`. Of healthy streams of five metrics that were judged
    again and again over 1,000 samples, 0.2 % alarmed at φ = 0, 0.3 % at 0.5 and 1.3 % at 0.7; see
    `calhard.service.judgement`.

    Windows are the plan's (28 and 7 days) where the kept history fills them, so that the verdict is
    the audit's; a younger or faster stream is judged by all its samples, the last fifth against the
    rest. Samples less than 45 minutes apart are judged by their order, without a season of hours,
    and 24 of them take the place of a day and of the horizon.

    Parameters
    ----------
    plan : AuditPlan or Slos, optional
        Rules and bounds; ``plan.regression.max_history`` samples (1,000) are kept.
    model_id, class_id : str
        Who it is: for reports, and for the plan's overrides.
    clock : callable, optional
        Returns the present as an aware datetime. With one (or where samples are added without a
        timestamp) the stream is live: samples ahead of the clock are rejected and silence is told.

    Raises
    ------
    ConfigError
        ``plan`` is no plan, or is disabled.

    Notes
    -----
    Safe to share between threads; judging never holds up adding. Memory is bounded by
    ``max_history``. Errors are `MetricsError` (an `InputError` and a ``ValueError``).

    Source: `calhard.judge` (the audit's heads); Page 1954 for the screen; Bonferroni over checks.

    Examples
    --------
    >>> from datetime import datetime, timedelta, timezone
    >>> from calhard import RegressionDetector
    >>> detector, start = RegressionDetector(), datetime(2026, 5, 1, tzinfo=timezone.utc)
    >>> for hour in range(10):
    ...     rising = {"aece": 0.012 + 0.001 * hour}
    ...     _ = detector.add_metrics(rising, timestamp=start + timedelta(hours=hour))
    >>> [(w.metric, w.warning_level) for w in detector.early_warnings()]
    [('aece', 'red')]
    """

    def __init__(
        self,
        plan: Rules | None = None,
        *,
        model_id: str = "model",
        class_id: str = WHOLE_MODEL,
        clock: Clock | None = None,
    ) -> None:
        self._plan = plan_of(plan)
        self._catalogue = self._plan.metric_catalogue()
        self._names = tuple(self._catalogue)
        self._key = model_id, class_id
        windows = self._plan.windows
        self._time = Timekeeper(clock, windows.timezone, windows.clock_skew_us)
        self._lock = RLock()
        self._start()

    def _start(self) -> None:
        self._intake = Intake(self._catalogue, self._plan.regression.max_history)
        self._judged: tuple[int, Judgement] = (0, Judgement())
        self._log: dict[tuple[str, str], DetectedRegression] = {}

    def reset(self) -> None:
        """Forget every sample, finding and count: a new version of the model was deployed."""
        with self._lock:
            self._start()

    def add_metrics(self, metrics: Sample, timestamp: datetime | str | float | None = None) -> bool:
        """Add a sample; return whether it was kept.

        Parameters
        ----------
        metrics : mapping of metric name to number, or CalibrationMetrics
            None means "not measured". A value that is NaN, infinite or out of its range is counted
            in `rejections`, kept out of every statistic and told as a MetricFailure.
        timestamp : aware datetime, ISO text or seconds since 1970, optional
            The clock's time by default.

        Returns
        -------
        bool
            False for a sample that repeats the newest one (counted in `duplicates`), is older,
            contradicts it at the same instant, or lies ahead of a live stream's clock (counted in
            `rejections`).

        Raises
        ------
        MetricsError
            The sample or its instant is of a wrong kind; nothing was kept or counted.
        """
        values, labels = read_sample(metrics, self._catalogue)
        row = [kept(values[name]) if name in values else math.nan for name in self._names]
        row.append(labels)
        with self._lock:
            stamp = self._time.stamp(timestamp, self._intake.last_us())
            return self._intake.admit(stamp, row, future=self._time.is_future(stamp))

    @property
    def suspicious(self) -> bool:
        """Whether something may have changed since the last judgement: then ask `regressions`.

        A cheap screen of every sample; it errs on the side of asking, at least once in 100 samples.
        """
        with self._lock:
            return self._intake.suspicious

    @property
    def rejected(self) -> int:
        """Samples, and single values, that were refused; `rejections` says why."""
        with self._lock:
            return self._intake.rejections.total()

    @property
    def rejections(self) -> Mapping[str, int]:
        """Refusals by reason, a copy."""
        with self._lock:
            return dict(self._intake.rejections)

    @property
    def duplicates(self) -> int:
        """Samples that repeated the newest one, and were ignored."""
        with self._lock:
            return self._intake.duplicates

    def __len__(self) -> int:
        """Return the number of samples kept."""
        with self._lock:
            return len(self._intake.ring)

    @property
    def nbytes(self) -> int:
        """Bytes of the kept samples; the same from the first sample on."""
        return self._intake.ring.nbytes

    def judge(self) -> Judgement:
        """Return the whole judgement as of the newest sample, made anew only after a new one."""
        with self._lock:
            intake, (at, known) = self._intake, self._judged
            added = intake.added
            if at == added:
                return known
            history = intake.ring.copy()
        found = judge_stream(Stream(self._plan, *self._key, history, self._names))
        with self._lock:
            if intake is self._intake and self._judged[0] < added:
                self._judged = added, found
                self._remember(found)
                intake.rest()
        return found

    def _remember(self, found: Judgement) -> None:
        """Log what was confirmed; by metric and type, so that the log never grows."""
        for finding in found.regressions:
            key = finding.metric, finding.regression_type
            first = self._log.get(key)
            if first is not None and self._is_recent(first, 24.0):
                finding = replace(finding, detected_at=first.detected_at)  # noqa: PLW2901
            self._log[key] = finding

    def regressions(self) -> list[DetectedRegression]:
        """Return the regressions that the kept history shows now, the audit's types and severities.

        What improved is never among them; see `improvements`.
        """
        return list(self.judge().regressions)

    def suspected(self) -> list[DetectedRegression]:
        """Return what a nightly audit of these values would confirm and a service may not yet."""
        return list(self.judge().suspected)

    def improvements(self) -> list[DetectedRegression]:
        """Return the confirmed changes for the better; they are recorded, never alerted."""
        return list(self.judge().improvements)

    def early_warnings(self) -> list[EarlyWarning]:
        """Return the trends that will carry a metric beyond its bound; from 8 samples on."""
        return list(self.judge().warnings)

    def trends(self) -> dict[str, MetricTrend]:
        """Return how every reported metric has moved, with its status."""
        return dict(self.judge().by_metric)

    def recent_regressions(self, hours: float = 24.0) -> list[DetectedRegression]:
        """Return the regressions that were confirmed in the last hours, the newest first.

        Hours end now in a live stream, at the newest sample in another. A regression that a later
        judgement no longer confirms stays listed until they have passed.
        """
        self.judge()
        with self._lock:
            found = [r for r in self._log.values() if self._is_recent(r, hours)]
        return sorted(found, key=lambda r: (r.last_seen, r.metric), reverse=True)

    def _is_recent(self, finding: DetectedRegression, hours: float) -> bool:
        last = self._intake.last_us()
        if last is None:
            return False
        now = last + self._time.silence(last)
        return (instant(now) - finding.last_seen).total_seconds() <= hours * 3600.0

    def health_status(self) -> HealthStatus:
        """Return the stream's health: its recent regressions (24 h), warnings, gaps and silence."""
        judgement, recent = self.judge(), self.recent_regressions()
        with self._lock:
            last = self._intake.last_us()
            silence = 0 if last is None else self._time.silence(last)
            return health_of(
                judgement,
                recent,
                self._intake.ring.copy().timestamp,
                silence,
                self._intake.rejections.total(),
                detecting=self._plan.regression_detection,
            )

    def regression_report(self) -> str:
        """Return the regression report as text, under the headings of the nightly one."""
        status = self.health_status()
        return regression_text(*self._key, status, self.judge())
