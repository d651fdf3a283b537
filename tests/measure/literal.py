"""Calibration errors as their definitions say, slowly."""

import numpy as np


def naive_ece(pairs, bins):
    """Σ over bins of |b|/n · |mean score − mean label|; ``bins`` maps a pair's place to its bin."""
    total = 0.0
    for b in set(bins):
        inside = [pair for pair, place in zip(pairs, bins, strict=True) if place == b]
        score = sum(s for s, _ in inside) / len(inside)
        label = sum(y for _, y in inside) / len(inside)
        total += len(inside) / len(pairs) * abs(score - label)
    return total


def naive_aece(scores, labels):
    pairs = sorted(zip(scores, labels, strict=True))
    count = min(max(int(len(pairs) ** 0.5), 5), 100)
    bins = []
    for b, part in enumerate(np.array_split(np.arange(len(pairs)), count)):
        bins += [b] * len(part)
    for i in range(1, len(pairs)):
        if pairs[i][0] == pairs[i - 1][0]:
            bins[i] = bins[i - 1]
    return naive_ece(pairs, bins)


def naive_dece(scores, labels):
    pairs = list(zip(scores, labels, strict=True))
    bins = [max(k for k in range(15) if score >= k / 15) for score, _ in pairs]
    return naive_ece(pairs, bins)
