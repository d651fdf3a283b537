"""A night keeps the bins of its findings: the judged windows, the worst, whatever the layout."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.pipeline import reliability
from calhard.pipeline.reliability import flagged_groups
from calhard.schema import RELIABILITY
from tests.findings.tables import regressions, violations, warnings
from tests.reliability.bins import AS_OF_US, DAY, write_bins
from tests.reliability.nights import audit, by_day, by_month, measured, write


@pytest.fixture(scope="module")
def rows():
    return measured()


@pytest.fixture(scope="module")
def history(rows, tmp_path_factory):
    return write(tmp_path_factory.mktemp("history"), *rows)


@pytest.fixture(scope="module")
def night(history, tmp_path_factory):
    return audit(history, tmp_path_factory.mktemp("nights"))


def kept(night):
    return night.table("reliability")


def of_window(night, window):
    return [row for row in kept(night).to_pylist() if row["window"] == window]


def bin_coverage(night):
    rows = night.table("coverage").to_pylist()
    return [row for row in rows if row["unit"] in {"bin file", "model-class"}]


def expected(bins, model, first, last):
    """Count, mean score and mean label of a model's bins of some days."""
    mine = [b for b in bins if b["model_id"] == model]
    mine = [b for b in mine if first <= (us(b["timestamp"]) - AS_OF_US) // DAY + 35 <= last]
    n = sum(b["count"] for b in mine)
    means = [sum(b["count"] * b[name] for b in mine) / n for name in ("mean_score", "mean_label")]
    return [n, *means]


def us(instant):
    return round(instant.timestamp() * 1e6)


def pooled(rows):
    n = sum(row["count"] for row in rows)
    means = [sum(row["count"] * row[x] for row in rows) / n for x in ("mean_score", "mean_label")]
    return [n, *means]


def test_a_model_that_broke_has_the_cells_of_both_windows(night, rows):
    assert set(kept(night)["model_id"].to_pylist()) == {"broken"}
    assert kept(night).schema.names == RELIABILITY.names
    assert pooled(of_window(night, "reference")) == pytest.approx(
        expected(rows[1], "broken", 0, 27)
    )
    assert pooled(of_window(night, "analysis")) == pytest.approx(
        expected(rows[1], "broken", 28, 34)
    )
    assert {row["periods"] for row in of_window(night, "reference")} == {28}
    assert {row["periods"] for row in of_window(night, "analysis")} == {7}
    assert bin_coverage(night) == []


def test_cells_are_in_order_and_those_of_both_windows_are_equally_wide(night):
    table = kept(night)
    assert set(table["width"].to_pylist()) == {1 / 15}
    for window in ("reference", "analysis"):
        cells = [row["cell"] for row in of_window(night, window)]
        assert len(cells) > 8
        assert all(a < b for a, b in pairwise(cells))


def test_the_band_holds_what_was_calibrated_and_not_what_broke(night):
    def outside(window):
        return [
            not row["band_low"] <= row["mean_label"] <= row["band_high"]
            for row in of_window(night, window)
        ]

    assert sum(outside("reference")) <= 2
    assert sum(outside("analysis")) >= 10


def test_merged_bins_and_clamped_labels_are_counted(night, rows):
    merged = sum(b["merged_with"] is not None for b in rows[1] if b["model_id"] == "broken")
    assert sum(kept(night)["merged"].to_pylist()) == merged
    assert sum(kept(night)["clamped"].to_pylist()) == sum(
        b["clamped"] for b in rows[1] if b["model_id"] == "broken"
    )


def test_a_period_that_was_not_known_at_the_audits_moment_is_not_in_it(history, tmp_path):
    early = audit(history, tmp_path, as_of_us=AS_OF_US - 2 * DAY + DAY // 2)
    last = max(row["last_period"] for row in kept(early).to_pylist())
    assert us(last) == AS_OF_US - 3 * DAY, "the day before ends after the moment"
    assert {row["periods"] for row in of_window(early, "analysis")} <= {4, 7}


@pytest.mark.parametrize("layout", ["days", "small row groups", "shuffled", "other names", "twice"])
def test_the_bytes_do_not_depend_on_how_the_bins_are_laid_out(
    night, rows, history, tmp_path, layout
):
    folder = tmp_path / "history"
    shutil.copytree(history, folder)
    shutil.rmtree(folder / "_bins")
    rng = np.random.default_rng(1)
    bins = [rows[1][i] for i in rng.permutation(len(rows[1]))]
    parts = {"days": by_day, "shuffled": _thirds, "other names": _thirds}.get(layout, by_month)(
        bins
    )
    for name, part in parts.items():
        path = folder / "_bins" / f"{'x' if layout == 'other names' else ''}{name}.parquet"
        write_bins(path, part, row_group_size=97 if layout == "small row groups" else 10**6)
    if layout == "shuffled":
        for path in (folder / "_bins").glob("*.parquet"):
            table = pq.read_table(path)
            pq.write_table(table.take(rng.permutation(table.num_rows)), path)
    if layout == "twice":
        shutil.copy(folder / "_bins" / "2026-05.parquet", folder / "_bins" / "copy.parquet")
    again = audit(folder, tmp_path / "nights")
    assert kept(again).equals(kept(night))
    assert (again.path / "reliability.parquet").read_bytes() == (
        night.path / "reliability.parquet"
    ).read_bytes()


def _thirds(bins):
    return {f"part-{i}": bins[i::3] for i in range(3)}


def test_the_same_bins_give_the_same_table_few_at_once_or_many(
    night, history, tmp_path, monkeypatch
):
    monkeypatch.setattr(reliability, "AT_ONCE", 1)
    assert kept(audit(history, tmp_path)).equals(kept(night))


def test_a_history_without_bins_has_a_table_without_rows(history, tmp_path):
    folder = tmp_path / "history"
    shutil.copytree(history, folder, ignore=shutil.ignore_patterns("_bins"))
    bare = audit(folder, tmp_path / "nights")
    assert kept(bare).num_rows == 0
    assert bare.table("regressions").num_rows > 0
    assert bin_coverage(bare) == []


def test_only_the_worst_are_kept_and_the_others_are_counted(tmp_path, monkeypatch):
    folder = write(tmp_path / "history", *measured(models=("broken", "broken-too", "sound")))
    monkeypatch.setattr(reliability, "MOST", 1)
    found = audit(folder, tmp_path / "nights")
    assert len(set(kept(found)["model_id"].to_pylist())) == 1
    (row,) = bin_coverage(found)
    assert (row["unit"], row["outcome"], row["count"]) == ("model-class", "outside", 1)


def test_the_worst_findings_come_first():
    tables = {
        "regressions": regressions(
            {"model_id": "minor", "severity": "minor"},
            {"model_id": "worst", "severity": "critical"},
        ),
        "violations": violations(
            {"model_id": "high", "severity": "high"},
            {"model_id": "unsure", "severity": "critical", "verdict": "unconfirmed"},
            {"model_id": "better", "severity": "critical", "direction": "better"},
        ),
        "warnings": warnings(
            {"model_id": "red", "warning_level": "red"},
            {"model_id": "yellow", "warning_level": "yellow"},
            {"model_id": "minor", "warning_level": "red"},
        ),
    }
    found = [model for model, _ in flagged_groups(tables)]
    assert found == ["worst", "high", "minor", "red", "yellow", "better", "unsure"]


def spoil(path, how):
    """Damage a bin file; return a word of what is told of it."""
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
        return "cannot be read"
    if how == "empty":
        path.write_bytes(b"")
        return "cannot be read"
    if how == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(bytes(content))
        return "cannot be read"
    table = pq.read_table(path)
    at = table.schema.get_field_index(how.split()[0])
    values = table.column(at)
    changed = {
        "mean_label dropped": lambda: table.drop_columns(["mean_label"]),
        "mean_score text": lambda: table.set_column(at, "mean_score", values.cast(pa.string())),
        "mean_label outside": lambda: _with(table, at, 1.5),
        "weight negative": lambda: _with(table, at, -1.0),
        "count null": lambda: _with(table, at, None),
        "count zero": lambda: _with(table, at, 0),
        "mean_score nan": lambda: _with(table, at, float("nan")),
        "clamped too many": lambda: _with(table, at, 10**9),
    }[how]()
    pq.write_table(changed, path)
    return how.split()[0] if how.split()[1] not in {"null", "nan"} else "without"


def _with(table, at, value):
    """The table with one value changed, in the middle of the model that broke."""
    field = table.schema.field(at)
    values = table.column(at).to_pylist()
    values[100] = value
    return table.set_column(at, field, pa.array(values, field.type))


@pytest.mark.parametrize(
    "how",
    [
        *("cut", "empty", "flipped", "mean_label dropped", "mean_score text", "mean_label outside"),
        *("weight negative", "count null", "count zero", "mean_score nan", "clamped too many"),
    ],
)
def test_a_damaged_bin_file_is_left_out_as_a_whole_and_told(night, history, tmp_path, how):
    folder = tmp_path / "history"
    shutil.copytree(history, folder)
    word = spoil(folder / "_bins" / "2026-05.parquet", how)
    found = audit(folder, tmp_path / "nights")
    (row,) = bin_coverage(found)
    assert (row["outcome"], row["example"]) == ("rejected", "_bins/2026-05.parquet")
    assert word in row["reason"]
    assert row["remedy"]
    assert {r["window"] for r in kept(found).to_pylist()} == {"reference"}, "April is whole"
    assert {r["periods"] for r in kept(found).to_pylist()} == {4}
    for name in ("regressions", "violations", "evidence"):
        assert found.table(name).equals(night.table(name)), name
    assert found.summary["coverage"]["share"] == 1.0
    assert "_bins/2026-05.parquet" in (found.path / "report.html").read_text()


def test_a_bin_file_that_is_missing_is_told(history, tmp_path):
    folder = tmp_path / "history"
    shutil.copytree(history, folder)
    (folder / "_bins" / "2026-04.parquet").unlink()
    found = audit(folder, tmp_path / "nights")
    (row,) = bin_coverage(found)
    assert (row["outcome"], row["count"]) == ("missing", 1)
    assert row["example"] == "_bins/2026-04.parquet"
    assert {r["periods"] for r in of_window(found, "reference")} == {24}


def test_weekly_periods_are_cut_as_their_series_are(tmp_path):
    rows, bins = measured(days=40 * 7, period=7 * DAY, models=("broken", "sound"), n=900)
    found = audit(write(tmp_path / "history", rows, bins), tmp_path / "nights", force=True)
    (evidence,) = [
        row
        for row in found.table("evidence").to_pylist()
        if (row["model_id"], row["metric"]) == ("broken", "aece")
    ]
    if kept(found).num_rows == 0:
        pytest.fail("the model that broke was not found")
    assert {r["periods"] for r in of_window(found, "reference")} == {evidence["n_reference"]}
    assert {r["periods"] for r in of_window(found, "analysis")} == {evidence["n_analysis"]}


def test_the_manifest_counts_the_rows(night):
    files = json.loads((night.path / "manifest.json").read_text())["files"]
    (entry,) = [f for f in files if f["name"] == "reliability.parquet"]
    assert entry["rows"] == kept(night).num_rows
    assert night.verify() == []
