"""Three audited nights of forecasts that were published before the games they are about.

    python examples/published_forecasts.py OUT [PREDICTIONS.parquet]

Without PREDICTIONS the sample in examples/data is read (FiveThirtyEight, CC BY 4.0; see the README
beside it). Every row is a forecast with its outcome, known in hindsight only: the labels of a
forecast of February's champion arrive in February. docs/worked-example.md says what follows.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import calhard
from calhard.measure import period_history

SAMPLE = Path(__file__).parent / "data" / "forecasts-sample.parquet"
SHOWN = ("aece", "clamp_rate")
NIGHTS = (
    ("the last week of baseball's season; basketball's is over", "2022-10-02", ()),
    ("the same night, basketball listed as retired", "2022-10-02", ("nba_*", "nhl_*", "march_*")),
    ("after the last game of college football: every rank is known", "2023-01-11", ("n*", "m*")),
)


def main(out: Path, predictions: pa.Table) -> None:
    """Measure once, audit three nights, print what is said of every forecast."""
    out.mkdir(parents=True, exist_ok=True)
    history = out / "history.parquet"
    pq.write_table(period_history(predictions, "1d"), history)
    for number, (title, as_of, retired) in enumerate(NIGHTS, start=1):
        plan = calhard.AuditPlan(fleet="forecasts", retired_models=retired)
        report = calhard.audit(history, plan, out=out / f"audits-{number}", as_of=as_of, workers=1)
        print(f"\n{number}. {title}\n   {report.summary['sentence']}")
        show(report)


def show(report: calhard.AuditReport) -> None:
    """Print, of two metrics of every model and class, the status or the verdict on its SLO."""
    broken = {
        (row["model_id"], row["class_id"], row["metric"]): row
        for row in report.violations.to_pylist()
        if row["window"] == "week"
    }
    for row in report.evidence.to_pylist():
        if row["metric"] in SHOWN and row["class_id"] != "__all__":
            key = (row["model_id"], row["class_id"], row["metric"])
            print(f"   {' / '.join(key)}: {told(row, broken.get(key))}")


def told(row: dict, violation: dict | None) -> str:
    """Return one series in words: why it has no verdict, or its week against its bound."""
    if row["status"] != "ok":
        return f"{row['status']}: {row['reason']}"
    if violation is None:
        return f"met, {row['week_value']:.3f} in the week"
    error, labels = violation["standard_error"], violation["total_samples"]
    return (
        f"{violation['verdict']}, {violation['drift']:+.3f} against {violation['threshold']:g}, "
        f"standard error {error:.3f}, {labels:.0f} labels"
    )


if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    main(Path(folder), pq.read_table(given[0] if given else SAMPLE))
