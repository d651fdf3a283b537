"""Whose run it is: the model that a tag, a param, the registry or the run's name tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calhard.sources.asked import RUNS_AT_ONCE, Asked

if TYPE_CHECKING:
    from mlflow.entities import Run

MADE_UP = re.compile(r"([a-z]+)-([a-z]+)-\d{1,3}")
"""How MLflow names runs that nobody named."""


def word_of(run: Run, origins: Sequence[str]) -> str | None:
    """Return the first of some tags and params that a run has."""
    for origin in origins:
        kind, _, name = origin.partition(":")
        held = {"tag": run.data.tags, "param": run.data.params}.get(kind, {})
        if held.get(name):
            return str(held[name])
    return None


@dataclass(slots=True)
class ModelNames:
    """Finds the models of an experiment's runs, place after place, for whole pages of them."""

    asked: Asked
    experiment_id: str
    origins: Sequence[str]
    _logged: dict[str, str] | None = field(default=None)

    def of(self, runs: Sequence[Run]) -> dict[str, str]:
        """Return the models of runs, by run; runs that name none are left out."""
        found: dict[str, str] = {}
        for origin in self.origins:
            lacking = [run for run in runs if run.info.run_id not in found]
            if not lacking:
                break
            found |= self._place(origin)(lacking)
        return found

    def _place(self, origin: str) -> Callable[[Sequence[Run]], dict[str, str]]:
        known = {
            "run_name": named_runs,
            "registered_model": self._registered,
            "logged_model": self._of_logged,
        }
        if origin in known:
            return known[origin]
        return lambda runs: {
            run.info.run_id: word for run in runs if (word := word_of(run, (origin,)))
        }

    def _registered(self, runs: Sequence[Run]) -> dict[str, str]:
        """Registered models that have a version of these runs; of several the first by name."""
        found: dict[str, str] = {}
        for begin in range(0, len(runs), RUNS_AT_ONCE):
            ids = ", ".join(f"'{r.info.run_id}'" for r in runs[begin : begin + RUNS_AT_ONCE])
            for version in self.asked.model_versions(f"run_id IN ({ids})"):
                run_id, name = str(version.run_id), str(version.name)
                found[run_id] = min(found.get(run_id, name), name)
        return found

    def _of_logged(self, runs: Sequence[Run]) -> dict[str, str]:
        """Models that these runs logged; of several the first by name."""
        outputs = {
            run.info.run_id: [model.model_id for model in run.outputs.model_outputs]
            for run in runs
            if run.outputs is not None and run.outputs.model_outputs
        }
        if outputs and self._logged is None:
            models = self.asked.logged_models(self.experiment_id)
            self._logged = {model.model_id: model.name for model in models}
        logged = self._logged or {}
        names = {run_id: [logged[m] for m in ids if m in logged] for run_id, ids in outputs.items()}
        return {run_id: min(known) for run_id, known in names.items() if known}


def named_runs(runs: Sequence[Run]) -> dict[str, str]:
    """Return the names of runs that a person named."""
    return {
        run.info.run_id: run.info.run_name
        for run in runs
        if run.info.run_name and not is_made_up(run.info.run_name)
    }


def is_made_up(name: str) -> bool:
    """Return whether MLflow made up a run's name, such as ``bold-ant-123``."""
    from mlflow.utils import name_utils

    found = MADE_UP.fullmatch(name)
    if found is None:
        return False
    lists = ("_GENERATOR_PREDICATES", "_GENERATOR_NOUNS")
    words = [getattr(name_utils, listed, None) for listed in lists]
    return all(w is None or p in w for p, w in zip(found.groups(), words, strict=True))
