"""Pooling: every bin in one cell, weights respected, whatever the order."""

from dataclasses import fields, replace

import numpy as np
import pytest

from calhard.reliability import BinRows, pool
from tests.reliability.bins import DAY, random_bins


def literal(bins):
    """Cells by group and number, one bin after another."""
    cells, tops = {}, {}
    for i in range(len(bins.group)):
        highest = bins.mean_score[bins.group == bins.group[i]].max()
        top = min(t for t in (2.0**-k for k in range(11)) if t >= highest)
        key = int(bins.group[i]), min(int(bins.mean_score[i] / top * 15), 14)
        tops[key] = top
        cells.setdefault(key, []).append(i)
    found = {}
    for key, rows in cells.items():
        w, n = bins.weight[rows], bins.count[rows]
        mine = bins.timestamp[bins.group == key[0]]
        found[key] = {
            "width": tops[key] / 15,
            "low": bins.low[rows].min(),
            "high": bins.high[rows].max(),
            "count": n.sum(),
            "weight": w.sum(),
            "mean_score": (w * bins.mean_score[rows]).sum() / w.sum(),
            "mean_label": (w * bins.mean_label[rows]).sum() / w.sum(),
            "effective_count": w.sum() ** 2 / (w * w / n).sum(),
            "clamped": bins.clamped[rows].sum(),
            "merged": bins.merged[rows].sum(),
            "periods": len(set(mine.tolist())),
            "first": mine.min(),
            "last": mine.max(),
        }
    return found


def told(pooled):
    """Cells by group and number."""
    keys = zip(pooled.group.tolist(), pooled.cell.tolist(), strict=True)
    names = [f.name for f in fields(pooled) if f.name not in {"group", "cell"}]
    return {key: {n: getattr(pooled, n)[i] for n in names} for i, key in enumerate(keys)}


def bytes_of(pooled):
    return [getattr(pooled, f.name).tobytes() for f in fields(pooled)]


@pytest.mark.parametrize("size", [1, 2, 30, 400])
def test_cells_are_those_of_one_bin_after_another(size):
    bins = random_bins(np.random.default_rng(size), size)
    found, expected = told(pool(bins)), literal(bins)
    assert list(found) == sorted(expected)
    for key, cell in expected.items():
        assert found[key] == pytest.approx(cell, rel=1e-12), key


def test_the_order_of_the_bins_changes_no_bit():
    rng = np.random.default_rng(3)
    bins = random_bins(rng, 500)
    known = bytes_of(pool(bins))
    for _ in range(20):
        assert bytes_of(pool(bins.take(rng.permutation(500)))) == known


def test_a_bin_that_stands_twice_counts_once():
    bins = random_bins(np.random.default_rng(4), 60)
    assert bytes_of(pool(BinRows.concatenate([bins, bins]))) == bytes_of(pool(bins))


def test_of_bins_that_contradict_each_other_always_the_same_one_counts():
    bins = random_bins(np.random.default_rng(5), 60)
    other = replace(bins, mean_label=1.0 - bins.mean_label)
    one, two = BinRows.concatenate([bins, other]), BinRows.concatenate([other, bins])
    assert bytes_of(pool(one)) == bytes_of(pool(two))
    assert pool(one).count.sum() == bins.count.sum()


def test_rows_of_equal_weight_are_effective_one_by_one():
    bins = random_bins(np.random.default_rng(6), 200)
    found = pool(replace(bins, weight=2.5 * bins.count))
    assert found.effective_count == pytest.approx(found.count, rel=1e-12)


def test_a_heavy_bin_makes_the_effective_count_small():
    bins = random_bins(np.random.default_rng(7), 200)
    found = pool(bins)
    assert np.all(found.effective_count <= found.count * (1 + 1e-12))
    heavy = bins.weight.copy()
    heavy[0] *= 1e6
    rescued = told(pool(replace(bins, weight=heavy)))
    key = int(bins.group[0]), min(int(bins.mean_score[0] * 15), 14)
    assert rescued[key]["effective_count"] == pytest.approx(bins.count[0], rel=1e-3)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_the_unit_of_the_weights_does_not_matter(scale):
    bins = random_bins(np.random.default_rng(8), 200)
    one, other = pool(bins), pool(replace(bins, weight=bins.weight * scale))
    for name in ("mean_score", "mean_label", "effective_count"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-12)


def test_a_score_on_a_border_belongs_to_the_cell_above_and_1_to_the_last():
    score = np.array([0.0, 1 / 15, 7 / 15, 14 / 15, 1.0, np.nextafter(1 / 15, 0.0)])
    one = random_bins(np.random.default_rng(9), 6)
    bins = replace(one, group=np.zeros(6, np.int64), number=np.arange(6), mean_score=score)
    assert pool(bins).cell.tolist() == [0, 1, 7, 14]
    assert pool(bins).count.tolist() == [
        bins.count[0] + bins.count[5],
        bins.count[1],
        bins.count[2],
        bins.count[3] + bins.count[4],
    ]


@pytest.mark.parametrize(
    ("highest", "top"), [(0.51, 1.0), (0.5, 0.5), (0.3, 0.5), (0.01, 2**-6), (1e-9, 2**-10)]
)
def test_low_scores_are_told_apart_by_narrow_cells_of_all_windows_alike(highest, top):
    one = random_bins(np.random.default_rng(12), 40, groups=2)
    score = one.mean_score * 0.9 * highest
    score[np.flatnonzero(one.group == 1)[0]] = highest
    bins = replace(one, mean_score=score)
    found = pool(bins, windows=2)
    assert np.all(found.width == top / 15)
    assert found.cell.max() == min(int(highest / top * 15), 14)
    apart = pool(bins)
    assert apart.width[apart.group == 0].max() <= top / 15


def test_no_bins_are_no_cells():
    assert len(pool(random_bins(np.random.default_rng(10), 0)).cell) == 0


def test_periods_are_those_of_the_group_not_of_the_cell():
    one = random_bins(np.random.default_rng(11), 3)
    bins = replace(
        one,
        group=np.array([0, 0, 1]),
        timestamp=np.array([0, 5 * DAY, DAY]),
        mean_score=np.array([0.1, 0.9, 0.5]),
    )
    found = pool(bins)
    assert found.periods.tolist() == [2, 2, 1]
    assert (found.first // DAY).tolist() == [0, 0, 1]
    assert (found.last // DAY).tolist() == [5, 5, 1]
