"""The audit's whole judgement of one stream, and what may be said of it at every sample.

Sequential checks: a service may ask after every sample, and at 5 % each (or 0.1 %, the audit's
``max_p``) healthy streams would alarm sooner or later. An alarm is spent over the checks: 1 % over
1,000 of them, divided by the metrics that are tested (Bonferroni over both), so the combined p must
be ≤ 1e−5/M. There is no fleet in a service: no shrinkage of correlations, no inflation factor λ.

Healthy streams of 1,000 hourly samples of five independent metrics with any alarm, from the 13th
sample on (``benchmarks/service.py``, 600 streams each, 95 % interval):

=====================  =======  ===========
noise                  alarmed  interval
=====================  =======  ===========
φ = 0                  0.2 %    0.0 – 0.9 %
φ = 0.5                0.3 %    0.0 – 1.2 %
φ = 0.7                1.3 %    0.6 – 2.6 %
φ = 0, Student t5      0 %      0.0 – 0.6 %
=====================  =======  ===========

They were judged after every sample up to 100, every fourth one up to 300 and every tenth one after.
A step of 2 sd after 800 samples was found in every one of 200 streams, after 10, 26 and
54 samples (median) at φ = 0, 0.5 and 0.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calhard.service.changes import Changes, confirmed, with_constants, with_older
from calhard.service.results import DetectedRegression, EarlyWarning, MetricTrend
from calhard.service.stream import Stream, judged_alone
from calhard.service.timeline import Timeline
from calhard.service.trends import trends_of, warnings_of


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that is said of a stream as of its newest sample.

    ``regressions`` may be told at any sample (sequential level); ``suspected`` are those that a
    nightly audit of the same values would confirm and that a service may not tell yet.
    """

    regressions: tuple[DetectedRegression, ...] = ()
    suspected: tuple[DetectedRegression, ...] = ()
    improvements: tuple[DetectedRegression, ...] = ()
    warnings: tuple[EarlyWarning, ...] = ()
    trends: Mapping[str, MetricTrend] | None = None

    @property
    def by_metric(self) -> Mapping[str, MetricTrend]:
        """Trends by metric; empty without a sample."""
        return self.trends or {}


def judge_stream(stream: Stream) -> Judgement:
    """Return the judgement of a stream; an empty one without a sample."""
    if not len(stream.history):
        return Judgement()
    line = Timeline.of(stream.history.timestamp, stream.plan)
    values = stream.reported()
    least = stream.plan.windows.min_reference + stream.plan.windows.min_analysis
    young = line.clock.reference_samples is not None and len(stream.history) < least
    judged = judged_alone(stream, line, values, young=young)
    tested = int(np.sum(np.isfinite(judged.verdict.p)))
    found = confirmed(stream, line, judged, tested, young=young)
    if not young:
        found = with_constants(stream, line, with_older(stream, found, tested))
    if not stream.plan.regression_detection:
        found = Changes()
    return Judgement(
        found.worse,
        found.suspected,
        found.better,
        warnings_of(stream, line, judged),
        trends_of(stream, line, judged, young),
    )
