"""Finds what is asked for in a night, and explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from math import isfinite
from typing import Any

from calhard.errors import ConfigError
from calhard.explanation.facts import (
    ModelFacts,
    Night,
    SeriesFacts,
    model_facts,
    night_plan,
    unkept,
)
from calhard.explanation.nearest import suggestion
from calhard.explanation.overview import overview_text, ranked
from calhard.explanation.text import WIDTH, series_text
from calhard.explanation.verdict import Verdict, Word, verdict_of
from calhard.reliability import Diagram
from calhard.report.picture import SeriesPicture, series_picture
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.wording.names import display_name


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a series was alarmed, or why it was silent.

    Attributes
    ----------
    night : ``YYYY-MM-DD``
    facts : all that the night says of the series
    picture : what a plot of it is drawn from; None where no evidence of it was kept
    overview : the series of the model, the worst first; empty where one was asked for
    """

    night: str
    facts: SeriesFacts
    picture: SeriesPicture | None
    overview: list[tuple[SeriesFacts, Verdict]] = field(default_factory=list, repr=False)
    _model: ModelFacts | None = field(default=None, repr=False)

    @property
    def verdict(self) -> Word:
        """``alarmed``, ``healthy``, ``blind``, … of `calhard.explanation.verdict.ORDER`."""
        return verdict_of(self.facts).word

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        return verdict_of(self.facts).sentence

    @property
    def reliability(self) -> Mapping[str, Diagram]:
        """Reliability diagrams of its model and class by window; none where no bins were kept."""
        return self.facts.reliability

    @property
    def text(self) -> str:
        """The explanation in words; names in it are safe to print."""
        return self.told()

    def told(self, width: int = WIDTH) -> str:
        """Return the explanation in lines of about ``width`` characters."""
        one = series_text(self.facts, self.night, width)
        if self._model is None:
            return one
        heading = f"{display_name(self.facts.model_id)}, night {self.night}"
        return f"{overview_text(self._model, self.overview, heading)}\n\nThe worst:\n\n{one}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold; instants are ISO text."""
        return {
            "night": self.night,
            **_series_dict(self.facts, verdict_of(self.facts)),
            "series": [_series_dict(*pair) for pair in self.overview],
        }


def _series_dict(facts: SeriesFacts, verdict: Verdict) -> dict[str, Any]:
    content = {
        "model_id": facts.model_id,
        "class_id": facts.class_id,
        "metric": facts.metric,
        "verdict": verdict.word,
        "sentence": verdict.sentence,
        "evidence": facts.evidence,
        "regression": facts.regression,
        "improvement": facts.improvement,
        "warning": facts.warning,
        "violations": list(facts.violations.values()),
        "reliability": {
            window: [asdict(cell) for cell in diagram.cells]
            for window, diagram in facts.reliability.items()
        },
    }
    return {name: _plain(value) for name, value in content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return None  # JSON has no such number
    return value.isoformat() if isinstance(value, datetime) else value


def explain_night(
    night: Night, model_id: str, class_id: str | None = None, metric: str | None = None
) -> Explanation:
    """Explain one series of a night, or the worst one of a model or class.

    Raises
    ------
    ConfigError
        There is no such model, class or metric; the message has the nearest names.
    """
    only = {"class_id": class_id, "metric": metric}
    model = model_facts(night, model_id, **{n: v for n, v in only.items() if v is not None})
    if not model.classes:
        _refuse(night, model_id, class_id)
    if class_id is not None and metric is not None:
        facts = _one(night, model, (model_id, class_id, metric))
        return Explanation(night.night, facts, _picture(night, facts))
    judged = ranked(model.series)
    if not judged:
        raise ConfigError(_nothing(night, model_id, class_id, metric))
    worst = judged[0][0]
    return Explanation(night.night, worst, _picture(night, worst), judged, model)


def _one(night: Night, model: ModelFacts, key: tuple[str, str, str]) -> SeriesFacts:
    if model.series:
        return model.series[0]
    model_id, class_id, metric = key
    whole = model_facts(night, model_id, class_id=class_id)
    known = [facts.metric for facts in whole.series]
    if whole.not_kept and metric in night.series(model_id, class_id).schema.names:
        return unkept(night, whole, key)
    place = f"{display_name(model_id)} / {display_name(class_id)}"
    raise ConfigError(f"no metric {suggestion(metric, known)} of {place} in night {night.night}")


def _refuse(night: Night, model_id: str, class_id: str | None) -> None:
    """Say which of the names is unknown, and what is near it."""
    classes = night.rows("health", model_id=model_id)["class_id"].to_pylist()
    if classes and class_id is not None:
        at = f"of {display_name(model_id)} in night {night.night}"
        metric = class_id in night_plan(night).metric_catalogue()
        hint = f"; {class_id} is a metric: name the class before it" if metric else ""
        raise ConfigError(f"no class {suggestion(class_id, classes)} {at}{hint}")
    models = night.rows("health")["model_id"].unique().to_pylist()
    raise ConfigError(f"no model {suggestion(model_id, models)} in night {night.night}")


def _nothing(night: Night, model_id: str, class_id: str | None, metric: str | None) -> str:
    """Why a model, or a class of it, has no series to show."""
    place = " / ".join(display_name(name) for name in (model_id, class_id) if name is not None)
    where = f"of {place} in night {night.night}"
    if metric is not None:
        whole = model_facts(night, model_id)
        return f"no metric {suggestion(metric, [f.metric for f in whole.series])} {where}"
    return (
        f'no evidence {where} was kept, and so it has no finding (keep = "flagged"); '
        "name a class and a metric to see what is known"
    )


def _cut(night: Night, as_of: datetime) -> int:
    """The end of a night's windows in the timestamps of its rows, µs; see `windows.Clock.cut`."""
    lag = float(night.summary.get("lag_seconds", 0.0))
    return round((as_of.timestamp() - lag) * 1e6)


def _picture(night: Night, facts: SeriesFacts) -> SeriesPicture | None:
    if facts.evidence is None:
        return None
    windows = facts.plan.windows
    picture = series_picture(
        facts.evidence,
        night.series(facts.model_id, facts.class_id),
        facts.spec,
        as_of=_cut(night, facts.as_of),
        night=windows.night.duration_us or MICROSECONDS_PER_DAY,
        horizon=round(windows.horizon_days * MICROSECONDS_PER_DAY),
        found=bool(facts.change or facts.violations),
    )
    # What comes next of a source that failed is not for a trend to say.
    return replace(picture, forecast=None) if facts.told("status") == "failed" else picture
