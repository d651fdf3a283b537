"""From predictions with their outcomes to an audited night.

    python examples/from_predictions.py OUT [PREDICTIONS.parquet]

Without PREDICTIONS some are made up: two models that forecast every day for 60 days, of which
"tired" turns overconfident in its last week. With it, a Parquet file with the columns model_id,
class_id, timestamp, score and label is read.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import calhard
from calhard.measure import period_history

DAYS, A_DAY, BAD_DAYS = 60, 400, 7


def made_up(seed: int = 0) -> pa.Table:
    """Return the forecasts of a calibrated model and of one that becomes overconfident."""
    rng = np.random.default_rng(seed)
    size = DAYS * A_DAY
    day = np.repeat(np.arange(DAYS), A_DAY)
    parts = []
    for model, bad_days in (("sound", 0), ("tired", BAD_DAYS)):
        truth = rng.beta(2, 2, size)
        logit = np.log(truth / (1 - truth)) * np.where(day >= DAYS - bad_days, 3.0, 1.0)
        columns = {
            "model_id": [model] * size,
            "class_id": ["win"] * size,
            "timestamp": 1_767_225_600 + 86_400 * day,  # seconds; 2026-01-01 UTC and on
            "score": 1 / (1 + np.exp(-logit)),
            "label": rng.random(size) < truth,
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def main(out: Path, predictions: pa.Table) -> int:
    """Measure, audit, print what was found; return the audit's exit code."""
    history = out / "history.parquet"
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(period_history(predictions, "1d"), history)
    report = calhard.audit(history, out=out / "nights", workers=1)
    print(report.summary["sentence"])
    for row in report.regressions.to_pylist():
        print(f"  {row['model_id']} / {row['class_id']}: {row['metric']} {row['detail']}")
    print(f"See {report.path / 'report.html'}")
    return report.exit_code


if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    sys.exit(main(Path(folder), pq.read_table(given[0]) if given else made_up()))
