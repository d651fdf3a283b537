"""A team that logs to MLflow: by MLflow's own store to the server's database, which is quicker."""

import os
from functools import cache

import pyarrow.parquet as pq

from calhard.plan import AuditPlan
from calhard.sources import fetched

DAY = 86_400_000
START = 1_764_028_800_000
"""2025-11-25T00:00Z, milliseconds."""
END = START + 40 * DAY


@cache
def client_of(folder):
    """Return MLflow's client of a database; it says nothing."""
    os.environ["MLFLOW_LOGGING_LEVEL"] = "CRITICAL"
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


class Team:
    """What a team does: make an experiment, run, log."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.client = client_of(server.folder)
        self.id = self.client.create_experiment(name)

    @property
    def source(self):
        return f"mlflow:{self.name}"

    def run(self, points=(), *, name=None, tags=None, params=None, start=START, ended=True):
        """Log a run; points are (key, value, ms, step); return its id."""
        from mlflow.entities import Metric, Param, RunStatus

        told = self.client.create_run(self.id, start_time=start, tags=tags or {}, run_name=name)
        run_id, store = told.info.run_id, self.client._tracking_client.store
        values = [Metric(key, float(value), ms, step) for key, value, ms, step in points]
        listed = [Param(key, value) for key, value in (params or {}).items()]
        for begin in range(0, max(len(values), 1), 1_000):
            store.log_batch(run_id, values[begin : begin + 1_000], listed, [])
            listed = []
        if ended:
            last = max((ms for _, _, ms, _ in points), default=start)
            store.update_run_info(run_id, RunStatus.FINISHED, last + 1_000, None)
        return run_id

    def plan(self, **source):
        """Return a plan that names the server, and how metrics are found in it."""
        return AuditPlan.model_validate({"mlflow": {"uri": self.server.uri, "source": source}})

    def table(self, plan=None, **options):
        """Fetch; return the rows."""
        with fetched(self.source, plan or self.plan(), **options) as found:
            (file,) = found.folder.glob("*.parquet")
            return pq.read_table(file)

    def rows(self, plan=None, **options):
        """Fetch; return the rows as (model, class, ms, values by name), those that are there."""
        return [
            (
                row.pop("model_id"),
                row.pop("class_id"),
                int(row.pop("timestamp").timestamp() * 1_000),
                {key: value for key, value in row.items() if value is not None},
            )
            for row in self.table(plan, **options).to_pylist()
        ]


def daily(key, values, *, steps=True, offset=0):
    """Return a value a day."""
    return [
        (key, value, START + day * DAY + offset, day if steps else 0)
        for day, value in enumerate(values)
    ]
