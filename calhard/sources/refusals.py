"""Why an experiment is no history, told so that a person can make it one."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from calhard.errors import InputError
from calhard.schema import BUILTIN_METRICS
from calhard.sources.left_out import NO_MODEL, TOO_OLD, LeftOut
from calhard.sources.named import SCHEME
from calhard.wording.names import display_name

TABLE = "[calibration.hardening.mlflow.source]"
METRICS = "[calibration.hardening.mlflow.source.metrics]"
MOST_SHOWN = 20
SHORTEST = 3
"""Letters in a row that two names must share to be thought of as one."""


def unknown(name: str, shown: str, names: Sequence[str]) -> InputError:
    """Return the error of an experiment that is not there; it offers near names."""
    folded = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, 3, 0.6)
    inside = [f for f in folded if name.casefold() in f][:3]
    offered = [folded[f] for f in dict.fromkeys([*near, *inside])][:3]
    if offered:
        hint = "did you mean " + " or ".join(f'"{SCHEME}{_safe(other)}"' for other in offered) + "?"
    elif names:
        hint = f"it has {_listed(names)}"
    else:
        hint = "it has none that this account can see"
    return InputError(f"{_source(name)}: MLflow at {shown} has no such experiment; {hint}")


def deleted(name: str, shown: str) -> InputError:
    """Return the error of an experiment that lies in the bin."""
    return InputError(
        f"{_source(name)}: this experiment was deleted at {shown}; restore it "
        "(mlflow experiments restore), or name another"
    )


def nothing(name: str, runs: int, left: LeftOut, chosen: str | None) -> InputError:
    """Return the error of an experiment of which no run became rows."""
    source, counts = _source(name), left.counts
    if not runs:
        which = f" that fits {TABLE} filter = {chosen!r}" if chosen else ""
        return InputError(f"{source}: has no run{which}; nothing to audit")
    if counts[NO_MODEL]:
        return InputError(_no_model(source, runs, left))
    if counts[TOO_OLD]:
        return InputError(
            f"{source}: all values of its {runs:,} runs are older than what an audit reads; choose "
            "another --as-of; by default it is the newest value's time"
        )
    return InputError(_no_metric(source, runs, left))


def _no_metric(source: str, runs: int, left: LeftOut) -> str:
    keys = [key for key, _ in _common(left.keys)]
    if not keys:
        return f"{source}: none of its {runs:,} runs logs a metric; nothing to audit"
    found = f"none of its {runs:,} runs logs a metric that is mapped; they log {_listed(keys)}"
    lines = [
        f"{source}: {found}",
        "map them in the configuration, for example:",
        f"  {METRICS}",
        *(f"  {metric} = {_quoted(key)}" for metric, key in suggested(keys)),
        'where a key ends with the class, "KEY/{class_id}" maps the keys of all classes',
    ]
    return "\n".join(lines)


def _no_model(source: str, runs: int, left: LeftOut) -> str:
    places = [place for place, _ in _common(left.places)]
    example = next((p for p in places if "model" in p.lower()), None) or next(iter(places), None)
    found = f"{left.counts[NO_MODEL]:,} of its {runs:,} runs log metrics but name no model"
    held = _listed(places) if places else "neither tags nor params"
    return "\n".join(
        [
            f"{source}: {found}; they hold {held}",
            "say where the model stands, for example:",
            f"  {TABLE}",
            f"  model_id = [{_quoted(example or 'tag:model_id')}]",
        ]
    )


def suggested(keys: Sequence[str]) -> list[tuple[str, str]]:
    """Return a key for each built-in metric that has a likely one, else one for the first."""
    found: dict[str, tuple[int, int, str]] = {}
    for key in keys:
        scores = {metric: _likeness(metric, key) for metric in BUILTIN_METRICS}
        metric = max(scores, key=scores.__getitem__)
        if scores[metric] >= SHORTEST:
            told = (-scores[metric], len(key), key)
            found[metric] = min(found.get(metric, told), told)
    likely = [(metric, found[metric][2]) for metric in BUILTIN_METRICS if metric in found]
    return likely or [("aece", keys[0])]


def _likeness(metric: str, key: str) -> int:
    """Letters in a row that a metric and the nearest word of a key share."""
    words = [w for w in re.split(r"[^a-z]+", key.lower().replace("_", "")) if w]
    own = metric.replace("_", "")
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(own)
    best = 0
    for word in words:
        matcher.set_seq1(word)
        size = matcher.find_longest_match().size
        best = max(best, size if size >= min(len(own), len(word)) - 1 else 0)
    return best


def _common(names: Counter[str]) -> list[tuple[str, int]]:
    return sorted(names.items(), key=lambda n: (-n[1], n[0]))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_SHOWN
    told = ", ".join(_safe(name) for name in names[:MOST_SHOWN])
    return f"{told} and {more:,} more" if more > 0 else told


def _quoted(text: str) -> str:
    """A text as TOML writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _safe(name: str) -> str:
    return display_name(name, 100)


def _source(name: str) -> str:
    return f"{SCHEME}{_safe(name)}"
