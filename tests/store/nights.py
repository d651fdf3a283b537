"""Small nights for tests of the store."""

from pathlib import Path

import pyarrow as pa

from calhard.schema import HEALTH
from calhard.store import night_writer

NIGHT = "2026-05-31"
REPORT = "weekly_slo_report.txt"


def health(models):
    counts = dict.fromkeys(HEALTH.names[3:], 0)
    rows = [
        {"model_id": f"m{i}", "class_id": "c", "health": "HEALTHY", **counts} for i in range(models)
    ]
    return pa.Table.from_pylist(rows, schema=HEALTH)


def write(out, night=NIGHT, *, force=False, models=3, scratch=None):
    """Publish a night of two tables and two texts."""
    with night_writer(out, night, force=force, scratch=scratch) as writer:
        writer.open_scratch("run")
        for name in ("health", "evidence"):
            with writer.table(name) as sink:
                if name == "health":
                    sink.write(health(models))
        writer.write_text(REPORT, f"{models} models\n")
        writer.write_json("summary.json", {"models": models, "exit_code": 0})
        return writer.publish({"as_of": f"{night}T00:00:00+00:00", "fleet": "test"})


def files(night):
    """Return every file of a night and its bytes."""
    return {p.name: p.read_bytes() for p in Path(night.path).rglob("*") if p.is_file()}
