"""Simulate the null of the scan head and write the table that ships with calhard.

    python benchmarks/make_scan_null.py [--series 100000]

For every length n and lag-1 correlation φ: AR(1) series, the best split, the shrunken φ* that a
homogeneous family gives, the pooled t test at that split. Written: quantiles of −log10 p0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from calhard_kernels.effective import (
    UNKNOWN_SPLIT,
    Correlation,
    Prior,
    lag1_correlation,
    pooled_welch,
    shrink,
)
from calhard_kernels.scan import best_split

LENGTHS = (20, 24, 28, 35, 50, 70, 100, 140, 200, 280, 400, 504, 672, 840, 1000)
CORRELATIONS = (-0.3, 0.0, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97)
TAIL = (0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
TARGET = Path(__file__).parents[1] / "calhard" / "assess" / "scan_null.json"
BATCH = 2_000


def ar1(rng: np.random.Generator, series: int, n: int, phi: float) -> np.ndarray:
    """Return stationary AR(1) series of unit variance, shape (series, n)."""
    noise = rng.standard_normal((series, n)) * np.sqrt(1 - phi * phi)
    noise[:, 0] = rng.standard_normal(series)
    return lfilter([1.0], [1.0, -phi], noise, axis=1)


def null_scores(rng: np.random.Generator, series: int, n: int, phi: float) -> np.ndarray:
    """Return −log10 p0 of ``series`` healthy series, with φ* as the pipeline makes it."""
    z, v, sides = [], [], []
    for start in range(0, series, BATCH):
        split = best_split(ar1(rng, min(BATCH, series - start), n, phi))
        raw = lag1_correlation((split.before, split.after), UNKNOWN_SPLIT)
        z.append(raw.z)
        v.append(raw.v)
        sides.append(split)
    whole = np.concatenate(z)
    low, mid, high = np.quantile(whole, (0.25, 0.5, 0.75))
    spread = ((high - low) / 1.349) ** 2 - np.median(np.concatenate(v))
    prior = Prior(float(mid), float(max(spread, 0.0)))
    p = [
        pooled_welch(s.before, s.after, shrink(Correlation(a, b), prior)).p
        for s, a, b in zip(sides, z, v, strict=True)
    ]
    return -np.log10(np.maximum(np.concatenate(p), 1e-300))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--series", type=int, default=100_000, help="series per (n, φ)")
    parser.add_argument("--seed", type=int, default=20_260)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    score = []
    for n in LENGTHS:
        row = []
        for phi in CORRELATIONS:
            sample = null_scores(rng, options.series, n, phi)
            row.append([round(float(q), 5) for q in np.quantile(sample, 1.0 - np.array(TAIL))])
        score.append(row)
        print(f"n = {n}: 1 % point of p0 by φ:", [f"{10 ** -r[10]:.2g}" for r in row], flush=True)
    table = {"n": LENGTHS, "phi": CORRELATIONS, "tail": TAIL, "score": score}
    note = f"python benchmarks/make_scan_null.py --series {options.series} --seed {options.seed}"
    TARGET.write_text(json.dumps({"made_by": note, **table}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
