"""Published nights of chosen health, models in the registry, and what a server then says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from calhard.schema import HEALTH
from calhard.store import NightWriter

FIRST = datetime(2026, 6, 1, tzinfo=UTC)


def night_of(day):
    return (FIRST + timedelta(days=day)).date().isoformat()


def moment(day):
    """Seconds since 1970 at which the night of a day has just been audited."""
    return (FIRST + timedelta(days=day + 1, hours=2)).timestamp()


def clock(day):
    return lambda: moment(day)


def health(**models):
    """Return a health table; each model is given the health of its classes, comma-separated.

    ``HEALTHY+1`` adds an indeterminate series, ``HEALTHY-1`` a failed one.
    """
    rows = []
    for model, classes in models.items():
        for number, word in enumerate(classes.split(",")):
            state = word.rstrip("+-1")
            rows.append(
                dict.fromkeys(HEALTH.names, 0)
                | {"model_id": model, "class_id": f"c{number}", "health": state}
                | {"audited": int(state != "INSUFFICIENT")}
                | {"indeterminate": int("+" in word), "failed": int("-" in word)}
            )
    return pa.Table.from_pylist(rows, HEALTH)


def publish(out, day, *, fleet="f", force=False, **models):
    """Publish a night, a day after `FIRST`, in which models have the given health."""
    with NightWriter(out, night_of(day), force=force) as writer:
        writer.write_table("health", health(**models))
        as_of = (FIRST + timedelta(days=day + 1)).isoformat()
        writer.write_json("summary.json", {"fleet": fleet, "as_of": as_of})
        return writer.publish({})


def register(client, name, versions=1, **aliases):
    """Register a model with some versions, and let aliases point at them."""
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, "s3://nowhere/model")
    for alias, version in aliases.items():
        client.set_registered_model_alias(name, alias, str(version))


def aliases(client, name):
    return {a: str(v) for a, v in client.get_registered_model(name).aliases.items()}


def tags(client, name, version):
    return dict(client.get_model_version(name, str(version)).tags)
