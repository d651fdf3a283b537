"""Pins a night: its means become a version on the shelf, which is put into force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from calhard.errors import CalhardError, ConfigError, InputError
from calhard.history.baseline import parse_baseline
from calhard.plan import AuditPlan
from calhard.plan.effective import plan_from_effective
from calhard.registry.baselines.shelf import Shelf, Version
from calhard.registry.baselines.values import Selection, check_metrics, merged, values_of
from calhard.store import NightReader, Out


@dataclass(frozen=True, slots=True)
class Pinned:
    """A version in force.

    Attributes
    ----------
    rows : models and classes that were pinned anew
    carried : those that the version before had and this one keeps
    is_new : whether it was not there before
    """

    version: Version
    rows: int = 0
    carried: int = 0
    is_new: bool = True


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


def pinnable(plan: AuditPlan) -> tuple[str, ...]:
    """Return the metrics that a baseline can hold."""
    catalogue = plan.metric_catalogue()
    return tuple(name for name, metric in catalogue.items() if metric.bound in {"drift", "level"})


def plan_of(night: NightReader) -> AuditPlan:
    """Return the plan that a night was audited by, but for who is told; the default one if lost."""
    try:
        return plan_from_effective(night.text("calhard.toml"), f"{night.path}/calhard.toml")
    except CalhardError:
        return AuditPlan()


def pin_night(
    out: Out,
    night: NightReader,
    chosen: Selection,
    *,
    fresh: bool = False,
    note: str = "",
    clock: Callable[[], datetime] = now,
) -> Pinned:
    """Write a new version of a night's means, and put it into force.

    What is not chosen keeps the value of the version in force before, unless ``fresh``. The same
    again is the version that is there already.

    Raises
    ------
    ConfigError
        A metric cannot be pinned, or nothing is chosen.
    InputError
        The night or the version before is damaged.
    BaselineInProgress
        Someone else pins a baseline there.
    PublishError
        The disk or the store refuses; the version before stays in force.
    """
    plan, shelf = plan_of(night), Shelf.of(out)
    _check(plan, night, chosen)
    new = _values(night, chosen)
    if not new.num_rows:
        raise ConfigError(
            f"night {night.night}: no audited series is chosen; check --model, --class and --metric"
        )
    with shelf.writing():
        before = None if fresh else shelf.in_force()
        table = merged(new, None if before is None else before.table)
        about = _about(night, chosen, before, note)
        numbers = {version.number for version in shelf.versions()}
        version = _same(before, table, note) or shelf.add(table, night.night, about)
        parse_baseline(version.content, "parquet", str(version.place), plan)
        shelf.enforce(version, clock().isoformat(timespec="seconds"))
    carried = table.num_rows - new.num_rows
    return Pinned(version, new.num_rows, carried, version.number not in numbers)


def _about(
    night: NightReader, chosen: Selection, before: Version | None, note: str
) -> dict[str, Any]:
    """Where a version comes from."""
    return {
        "fleet": str(night.summary["fleet"]),
        "night": night.night,
        "revision": night.revision,
        "manifest_sha256": night.manifest_sha256,
        "onto": None if before is None else before.number,
        "note": note,
        **asdict(chosen),
    }


def put_into_force(out: Out, number: int, *, clock: Callable[[], datetime] = now) -> Pinned:
    """Put an earlier version into force again.

    Raises
    ------
    ConfigError
        There is none of that number.
    InputError
        It is damaged.
    """
    shelf = Shelf.of(out)
    with shelf.writing():
        version = shelf.version(number)
        shelf.enforce(version, clock().isoformat(timespec="seconds"))
    return Pinned(version, is_new=False)


def _check(plan: AuditPlan, night: NightReader, chosen: Selection) -> None:
    """Refuse what the night cannot tell."""
    if plan.storage.keep == "flagged":
        raise ConfigError(
            f"night {night.night} keeps the evidence of flagged series alone; set [storage] "
            'keep = "all" and audit it again with --force'
        )
    wrong = check_metrics(chosen.metrics, pinnable(plan))
    if wrong:
        known = ", ".join(pinnable(plan))
        raise ConfigError(f"{wrong[0]} cannot be pinned; a baseline can hold {known}")


def _same(before: Version | None, table: pa.Table, note: str) -> Version | None:
    """The version in force, if it holds these very values, and no other note is to be kept."""
    if before is None or note not in {"", before.about["note"]}:
        return None
    plain = before.table.replace_schema_metadata(None)
    return before if plain.equals(table.replace_schema_metadata(None)) else None


def _values(night: NightReader, chosen: Selection) -> pa.Table:
    name = "evidence.parquet"
    with TemporaryDirectory(prefix="calhard-baseline-") as folder:
        file = Path(folder) / name
        night.copy(name, file)
        try:
            return values_of(file, chosen)
        except pa.ArrowException as e:
            raise InputError(f"{night.path}: {name} cannot be read ({e})") from e
