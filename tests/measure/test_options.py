"""`calhard measure`: the pictures and the device."""

import subprocess
import sys
from importlib.util import find_spec

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("matplotlib", reason="needs the extra plots")


@pytest.fixture
def log(tmp_path):
    size = 400
    table = {
        "model_id": ["ranker"] * size,
        "class_id": ["click"] * size,
        "timestamp": [1_767_225_600 + 600 * i for i in range(size)],
        "score": [(i % 20) / 20 for i in range(size)],
        "label": [i % 3 == 0 for i in range(size)],
    }
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    return tmp_path


def measure(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", "measure", "log.parquet", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_a_diagram_is_drawn_once_measured_and_again_without_anything_to_measure(log):
    plot = ("--plot", "ranker", "click", "diagram.svg")
    first = measure(log, "--history", "history", *plot)
    assert first.returncode == 0, first.stderr
    drawn = (log / "diagram.svg").read_bytes()
    assert b"</svg>" in drawn
    again = measure(log, "--history", "history", *plot)
    assert again.returncode == 0, again.stderr
    assert (log / "diagram.svg").read_bytes() == drawn


def test_a_model_that_is_not_there_is_told_once_all_is_measured(log):
    done = measure(log, "--history", "history", "--plot", "rankr", "click", "d.svg")
    assert done.returncode == 4
    assert "measured, but not drawn: no model rankr (did you mean ranker" in done.stderr
    assert done.stdout.startswith("measured ")
    assert list((log / "history").glob("*.parquet"))


@pytest.mark.parametrize(("file", "told"), [("d.gif", ".png"), ("no/d.png", "no such folder")])
def test_what_can_be_no_picture_is_refused_before_anything_is_measured(log, file, told):
    done = measure(log, "--history", "history", "--plot", "ranker", "click", file)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (log / "history").exists()


def test_a_card_that_is_not_there_is_told_before_anything_is_read(log):
    if find_spec("cupy") is not None:
        pytest.skip("CuPy is installed")
    done = measure(log, "--history", "history", "--device", "gpu")
    assert done.returncode == 2
    assert "use --device cpu" in done.stderr
    assert not (log / "history").exists()


def test_labels_that_are_none_degrade_the_run_and_are_counted_in_the_history(log):
    table = pq.read_table(log / "log.parquet")
    label = [2.0 if i % 2 else float(x) for i, x in enumerate(table["label"].to_pylist())]
    place = table.schema.get_field_index("label")
    pq.write_table(table.set_column(place, "label", pa.array(label)), log / "log.parquet")
    done = measure(log, "--history", "history")
    assert done.returncode == 3, done.stderr
    assert "degraded   50.0% of the rows are sound; 99% must be" in done.stdout
    history = pq.read_table(log / "history")
    assert sum(history["label_range_violations"].to_pylist()) == 200


def test_rows_that_wait_for_their_labels_degrade_nothing(log):
    table = pq.read_table(log / "log.parquet")
    label = [None if i % 2 else x for i, x in enumerate(table["label"].to_pylist())]
    place = table.schema.get_field_index("label")
    pq.write_table(table.set_column(place, "label", pa.array(label)), log / "log.parquet")
    assert measure(log, "--history", "history").returncode == 0
