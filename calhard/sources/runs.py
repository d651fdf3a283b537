"""Which runs of an experiment become rows, and what they are: model, class, keys, samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calhard.sources.keys import KeyMap, Meaning
from calhard.sources.left_out import NO_METRIC, NO_MODEL, OURS, TOO_OLD, LeftOut
from calhard.sources.models import ModelNames, word_of
from calhard.sources.rows import Owner

if TYPE_CHECKING:
    from mlflow.entities import Run

    from calhard.plan.logged import Logged

WHOLE = "__all__"
KEY_OF_CALHARD = "calhard.key"
"""A tag of the runs that calhard publishes."""


@dataclass(slots=True)
class Reach:
    """The oldest and the newest instants that count, milliseconds since 1970."""

    lookback_ms: int
    """How long before the newest value an audit looks back."""
    latest: int
    """Values after it are of no clock's making, and do not move what is the newest."""
    newest: int | None = None
    fixed: bool = False
    """Whether the audit's moment is given."""

    def see(self, stamps: Sequence[int]) -> None:
        """Learn of values; what is in reach of the newest so far may be of a newer one, too."""
        known = [ms for ms in stamps if ms <= self.latest]
        if known and not self.fixed:
            self.newest = max([*known, *([] if self.newest is None else [self.newest])])

    def has(self, run: Run, stamps: Sequence[int]) -> bool:
        """Return whether a run may hold values within reach: by its latest ones, or by its end."""
        if self.newest is None or run.info.end_time is None:
            return True
        last: int = max([run.info.end_time, *stamps])
        return last >= self.newest - self.lookback_ms


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that becomes rows: its keys, and whose values each key holds."""

    run: Run
    model_id: str | None
    keys: Mapping[str, tuple[Meaning, ...]]

    @property
    def run_id(self) -> str:
        """Its id."""
        return str(self.run.info.run_id)


@dataclass(slots=True)
class Chooser:
    """Chooses runs, page by page, and counts the others."""

    logged: Logged
    keys: KeyMap
    models: ModelNames
    reach: Reach
    metrics: frozenset[str]
    """Columns of which a run must log one."""
    left: LeftOut

    def choose(self, runs: Sequence[Run]) -> list[Wanted]:
        """Return the runs of a page that become rows."""
        found = [(run, keys) for run in runs if (keys := self._mapped(run))]
        models = self.models.of([run for run, keys in found if _needs_model(keys)])
        return [
            Wanted(run, models.get(run.info.run_id), keys)
            for run, keys in found
            if self._has_model(run, keys, models)
        ]

    def _mapped(self, run: Run) -> dict[str, tuple[Meaning, ...]]:
        """Return the keys of a run that is to be read; the others count as left out."""
        last = {metric.key: metric.timestamp for metric in latest(run)}
        keys = {key: told for key in last if (told := self.keys.meanings(key))}
        reporting = any(m.column in self.metrics for told in keys.values() for m in told)
        stamps = [last[key] for key in keys]
        reason = self._reason(run, stamps, is_reporting=reporting)
        if reason is None:
            return keys
        self.left.add(reason, run.info.run_id)
        if reason == NO_METRIC:
            self.left.remember(self.left.keys, list(last))
        return {}

    def _reason(self, run: Run, stamps: Sequence[int], *, is_reporting: bool) -> str | None:
        if KEY_OF_CALHARD in run.data.tags:
            return OURS
        if not is_reporting:
            return NO_METRIC
        self.reach.see(stamps if self.logged.timestamp == "metric" else [run.info.start_time])
        return None if self.reach.has(run, stamps) else TOO_OLD

    def _has_model(
        self, run: Run, keys: Mapping[str, tuple[Meaning, ...]], models: Mapping[str, str]
    ) -> bool:
        if run.info.run_id in models or not _needs_model(keys):
            return True
        self.left.add(NO_MODEL, run.info.run_id)
        tags = [f"tag:{tag}" for tag in run.data.tags if not tag.startswith("mlflow.")]
        self.left.remember(self.left.places, [*tags, *(f"param:{p}" for p in run.data.params)])
        return False

    def owners(self, wanted: Wanted) -> Iterator[tuple[str, str, Owner]]:
        """Yield the keys of a run, the column of each, and whose values they are."""
        data, logged = wanted.run.data, self.logged
        version = word_of(wanted.run, logged.model_version)
        tags = tuple(data.tags.get(tag) for tag in logged.tags)
        own_class = word_of(wanted.run, logged.class_id) or WHOLE
        samples = self._samples(wanted.run)
        for key, told in wanted.keys.items():
            for meaning in told:
                model = meaning.model_id or wanted.model_id
                if model is None:
                    continue
                told_samples = samples if meaning.class_id is None else None
                label = meaning.class_id or own_class
                owner = Owner(wanted.run_id, model, label, version, tags, told_samples)
                yield key, meaning.column, owner

    def _samples(self, run: Run) -> float | None:
        """Return what a run says of its labels beside its metrics; NaN of what is no number."""
        word = word_of(run, [o for o in self.logged.total_samples if not o.startswith("metric:")])
        if word is None:
            return None
        try:
            return float(word)
        except ValueError:
            return float("nan")


def latest(run: Run) -> Sequence[Any]:
    """Return the latest value of each metric of a run, with its time and step."""
    return run.data._metric_objs  # its public property gives no times


def _needs_model(keys: Mapping[str, tuple[Meaning, ...]]) -> bool:
    """Whether a key names no model itself."""
    return any(meaning.model_id is None for told in keys.values() for meaning in told)
