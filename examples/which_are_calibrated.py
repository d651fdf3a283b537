"""Say which of some published forecasts were calibrated, and how sure one can be.

    python examples/which_are_calibrated.py [PREDICTIONS.parquet]

Without PREDICTIONS it reads the sample in examples/data (FiveThirtyEight, CC BY 4.0; see the README
beside it). Every model and class is measured as a whole and by year. The slope alpha is 1 for a
calibrated forecast, below 1 for one that is too sure of itself, above 1 for one that is too timid.

Its standard error comes two ways: "by rows" takes every row for independent, "by years" asks how
much alpha differs from year to year. Where many rows share one outcome the second is the larger,
and it is the one to believe; two years or fewer say nothing.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from calhard.measure import period_history

SAMPLE = Path(__file__).parent / "data" / "forecasts-sample.parquet"
CENTURY = "36500d"
FEWEST_YEARS = 3


def main(predictions: pa.Table) -> None:
    """Print one line for every model and class."""
    by_year = defaultdict(list)
    for row in period_history(predictions, "12mo").to_pylist():
        if row["alpha"] is not None:
            by_year[row["model_id"], row["class_id"]].append(row["alpha"])
    print(f"{'forecast':47} {'rows':>7} {'AECE':>5} {'alpha':>5} {'± rows':>6} {'± years':>7}")
    for row in period_history(predictions, CENTURY).to_pylist():
        years = by_year[row["model_id"], row["class_id"]]
        if row["alpha"] is not None and row["class_id"] != "__all__":
            print(line(row, years))


def line(row: dict, years: list[float]) -> str:
    """Return one forecast in a line."""
    name = f"{row['model_id']} / {row['class_id']}"
    head = f"{name:47} {row['total_samples']:7,} {row['aece']:5.3f} {row['alpha']:5.2f}"
    error = standard_error(years)
    told = f"{error:7.3f}" if error else f"{'—':>7}"
    return f"{head} {row['alpha_standard_error']:6.3f} {told}  {verdict(years)}"


def standard_error(years: list[float]) -> float | None:
    """Return the standard error of the mean of some years' alphas; None of too few."""
    if len(years) < FEWEST_YEARS:
        return None
    return float(np.std(years, ddof=1) / np.sqrt(len(years)))


def verdict(years: list[float]) -> str:
    """Return what the years say of alpha = 1, at 5 %."""
    error = standard_error(years)
    if error is None:
        return f"cannot be told from {len(years)} year(s)"
    off = float(np.mean(years)) - 1
    if abs(off) <= stats.t.ppf(0.975, len(years) - 1) * error:
        return f"calibrated, as far as {len(years)} years tell"
    return "too sure of itself" if off < 0 else "too timid"


if __name__ == "__main__":
    main(pq.read_table(sys.argv[1] if len(sys.argv) > 1 else SAMPLE))
