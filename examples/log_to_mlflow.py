"""What teams log to MLflow anyway, in the two ways in which they do: calhard audits it as it is.

python examples/log_to_mlflow.py sqlite:///mlflow.db
calhard audit mlflow:evaluations --mlflow-uri sqlite:///mlflow.db --out nights
"""

import os
import sys

import numpy as np

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

DAY = 86_400_000
START = 1_775_001_600_000
"""2026-04-01T00:00Z, milliseconds."""
DAYS = 40


def evaluated(rng: np.random.Generator, level: float) -> dict[str, float]:
    """Return what an evaluation found: calibration error by class, and how many labels it had."""
    found = {f"val/ece.{name}": level + rng.normal(0, 0.001) for name in ("rare", "common")}
    return found | {"val/labels.rare": 400.0, "val/labels.common": 9_000.0}


def metrics(values: dict[str, float], day: int) -> list[Metric]:
    """Return an evaluation's values as MLflow keeps them, at the time of that day."""
    return [Metric(key, value, START + day * DAY, day) for key, value in values.items()]


def main(uri: str) -> None:
    """Log one model in a run for every evaluation, and another in one run with many steps."""
    client, rng = MlflowClient(uri), np.random.default_rng(7)
    experiment = client.create_experiment("evaluations")
    for day in range(DAYS):
        began = START + day * DAY
        run = client.create_run(experiment, began, {"model_id": "churn"}, f"churn, day {day}")
        client.log_batch(run.info.run_id, metrics(evaluated(rng, 0.02), day))
    run = client.create_run(experiment, START, {"model_id": "fraud"}, "fraud, nightly")
    for day in range(DAYS):
        drifted = 0.03 if day >= DAYS - 5 else 0.0  # five days ago something broke
        client.log_batch(run.info.run_id, metrics(evaluated(rng, 0.02 + drifted), day))


if __name__ == "__main__":
    main(sys.argv[1])
