"""Say which of some published forecasts were calibrated, and how sure one can be.

    python examples/which_are_calibrated.py [PREDICTIONS.parquet]

Without PREDICTIONS it reads the sample in examples/data (FiveThirtyEight, CC BY 4.0; see the README
beside it). Every model and class is measured as a whole and by year. The slope alpha is 1 for a
calibrated forecast, below 1 for one that is too sure of itself, above 1 for one that is too timid.

How sure the slope is, is asked twice. "By rows" takes every row of all years for independent. "By
years" takes the mean of the years' slopes, and how much they differ. Where many rows share one
outcome the second is far less sure, and it is the one to believe. The verdict is by years: q is the
false discovery rate (Benjamini and Hochberg) of a t-test against 1, over all forecasts at once; and
a forecast is only called calibrated where its slope is known to a quarter.
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
FEWEST_YEARS, Q, KNOWN = 3, 0.05, 0.25


def main(predictions: pa.Table) -> None:
    """Print one line for every model and class."""
    years = yearly_slopes(predictions)
    tested = {key: t_test(slopes) for key, slopes in years.items() if len(slopes) >= FEWEST_YEARS}
    found = stats.false_discovery_control([p for _, _, p in tested.values()])
    q = dict(zip(tested, found.tolist(), strict=True))
    print(f"{'forecast':47} {'rows':>6} {'AECE':>5} {'by rows':>11} {'by years':>11} {'q':>5}")
    for row in period_history(predictions, CENTURY).to_pylist():
        key = row["model_id"], row["class_id"]
        if row["class_id"] == "__all__":
            continue
        told = [f"{len(years[key])} year(s): cannot be told"]
        if key in tested:
            mean, half, _ = tested[key]
            error = half / quantile(len(years[key]))
            told = [f"{mean:5.2f} ±{error:5.2f} {q[key]:5.3f}", verdict(mean, half, q[key])]
        rows = f"{row['alpha']:5.2f} ±{row['alpha_standard_error']:5.2f}"
        head = f"{' / '.join(key):47} {row['total_samples']:6} {row['aece']:5.3f}"
        print(head, rows, *told)


def yearly_slopes(predictions: pa.Table) -> dict[tuple[str, str], list[float]]:
    """Return the slopes of the calendar years in which there is one, by model and class."""
    found = defaultdict(list)
    for row in period_history(predictions, "12mo").to_pylist():
        if row["alpha"] is not None:
            found[row["model_id"], row["class_id"]].append(row["alpha"])
    return found


def quantile(years: int) -> float:
    """Return the 97.5 % point of Student's t of that many years."""
    return float(stats.t.ppf(0.975, years - 1))


def t_test(slopes: list[float]) -> tuple[float, float, float]:
    """Return the mean of some years' slopes, half its 95 % interval, and the p of a mean of 1."""
    half = quantile(len(slopes)) * np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    return float(np.mean(slopes)), float(half), float(stats.ttest_1samp(slopes, 1.0).pvalue)


def verdict(mean: float, half: float, q: float) -> str:
    """Return what the years say, in words."""
    if q <= Q:
        return "too sure of itself" if mean < 1 else "too timid"
    return "calibrated, to a quarter" if abs(mean - 1) + half <= KNOWN else "cannot be told"


if __name__ == "__main__":
    main(pq.read_table(sys.argv[1] if len(sys.argv) > 1 else SAMPLE))
