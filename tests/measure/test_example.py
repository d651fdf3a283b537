"""examples/from_predictions.py, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

EXAMPLE = Path(__file__).parents[2] / "examples" / "from_predictions.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLE.parents[1],
    )


def test_the_example_finds_the_model_that_became_overconfident_and_no_other(tmp_path):
    done = run(tmp_path / "made-up")
    assert done.returncode == 1, done.stderr
    found = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {line.split(":")[0] for line in found} == {"tired / win"}
    assert any(line.startswith("tired / win: aece the level moved by +0.") for line in found)
    history = pq.read_table(tmp_path / "made-up" / "history.parquet")
    assert history["total_samples"].to_pylist() == [400] * 120


def test_the_example_reads_predictions_of_ones_own(tmp_path):
    table = {
        "model_id": ["m"] * 4,
        "class_id": ["c"] * 4,
        "timestamp": [1_767_225_600 + 86_400 * i for i in range(4)],
        "score": [0.5] * 4,
        "label": [1.0] * 4,
    }
    pq.write_table(pa.table(table), tmp_path / "mine.parquet")
    done = run(tmp_path / "own", tmp_path / "mine.parquet")
    assert done.returncode == 3, done.stderr
    assert "no verdict, and that is not good news" in done.stdout
