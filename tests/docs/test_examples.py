"""The examples, as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import calhard
from calhard.simulate import FleetSpec, write_fleet

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = EXAMPLES / "data" / "forecasts-sample.parquet"
REAL = Path(os.environ.get("CALHARD_REAL_DATA", "")) / "forecasts.parquet"
with_real_data = pytest.mark.skipif(
    not os.environ.get("CALHARD_REAL_DATA") or not REAL.is_file(),
    reason="CALHARD_REAL_DATA names no folder that holds forecasts.parquet",
)


def run(name, *arguments, **more):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLES.parent,
        env=os.environ | {"MPLBACKEND": "Agg"} | more,
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return folder, run("own_parquet.py", folder)


def section(text, title):
    """Return the lines under a title."""
    lines = text.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines]


def test_a_parquet_file_with_names_of_ones_own_is_audited(own):
    _, done = own
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Calibration of fleet shop needs attention: 2 incidents")
    found = {line.split(" the ")[0] for line in section(done.stdout, "regressions")}
    assert found == {"ranker / buy: brier", "trial-b / click: aece"}
    health = dict(line.split(": ") for line in section(done.stdout, "health"))
    assert {name for name, state in health.items() if state != "HEALTHY"} == {
        "ranker / buy",
        "trial-b / click",
    }


def test_a_declared_metric_has_an_slo_and_an_override_widens_one(own):
    folder, done = own
    violations = section(done.stdout, "violations")
    assert violations
    assert all(line.startswith("ranker / buy, ") for line in violations)
    assert any(line.endswith("violated") for line in violations)
    (night,) = (folder / "audits" / "nights").iterdir()
    trial = pq.read_table(
        night / "evidence.parquet",
        filters=(pc.field("model_id") == "trial-b") & (pc.field("class_id") == "click"),
    ).to_pylist()
    (aece,) = [row for row in trial if row["metric"] == "aece"]
    assert aece["week_value"] - aece["baseline_value"] > 0.01
    assert aece["slo_bound"] == 0.05


def test_a_history_of_ones_own_can_be_given(own, tmp_path):
    folder, before = own
    done = run("own_parquet.py", tmp_path, folder / "history.parquet")
    assert done.returncode == before.returncode
    assert done.stdout == before.stdout
    assert not (tmp_path / "history.parquet").exists()


def test_a_night_is_plotted(own, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    (night,) = (own[0] / "audits" / "nights").iterdir()
    done = run("plot_night.py", night, tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    names = ("incidents.png", "heat-map.png", "p-values.png")
    assert done.stdout.splitlines() == [str(tmp_path / "pictures" / name) for name in names]
    for name in names:
        pixels = plt.imread(tmp_path / "pictures" / name)
        assert pixels.shape[0] > 200
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 10  # not empty


def test_a_night_without_incidents_is_plotted_too(tmp_path):
    pytest.importorskip("matplotlib")
    write_fleet(FleetSpec(models=3, days=14, broken=0.0), tmp_path / "fleet")
    report = calhard.audit(tmp_path / "fleet", out=tmp_path / "audits", workers=1)
    assert report.incidents.num_rows == 0
    done = run("plot_night.py", report.path, tmp_path / "pictures")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "pictures" / "heat-map.png").stat().st_size > 1_000


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    done = run("published_forecasts.py", tmp_path_factory.mktemp("forecasts"))
    assert done.returncode == 0, done.stderr
    return nights(done.stdout)


def nights(text):
    """Return, of each night, what is said of every (model, class, metric), and its sentence."""
    found = []
    for part in text.split("\n\n"):
        _, sentence, *rows = part.strip().splitlines()
        told = dict(row.strip().split(": ", 1) for row in rows)
        found.append(({tuple(key.split(" / ")): words for key, words in told.items()}, sentence))
    return found


def test_few_games_a_day_are_not_called_a_breach(published):
    for told, _ in published[:2]:
        words = told["mlb_games", "team1", "aece"]
        assert words.startswith("unconfirmed, +0.019 against 0.01, standard error 0.03")


def test_a_season_that_is_over_is_silence_until_the_model_is_retired(published):
    before, after, _ = (told for told, _ in published)
    assert before["nba_games", "team1", "aece"].startswith("failed: no sample for ")
    assert {model for model, _, _ in after} == {"college_football_playoff", "mlb_games"}
    assert "healthy: nothing confirmed" in published[1][1]


def test_a_season_that_has_begun_is_insufficient_and_one_that_is_decided_sits_at_the_bounds(
    published,
):
    before, _, decided = (told for told, _ in published)
    for class_id in ("madeplayoff", "final_rank1"):
        key = ("college_football_playoff", class_id)
        assert before[*key, "aece"].startswith("insufficient: 0 reference and 5 analysis samples")
        assert decided[*key, "aece"] == "met, 0.000 in the week"
        assert decided[*key, "clamp_rate"].startswith("violated, +0.900 against 0.1")


def test_the_sample_is_small_sound_and_attributed():
    assert SAMPLE.stat().st_size < 300_000
    table = pq.read_table(SAMPLE)
    assert set(table["label"].unique().to_pylist()) == {0.0, 1.0}
    ends = pc.min_max(table["score"]).as_py()
    assert (ends["min"], ends["max"]) == (0.0, 1.0)
    words = (EXAMPLES / "data" / "README.md").read_text(encoding="utf-8")
    for needed in ("FiveThirtyEight", "CC BY 4.0", "Changes:", f"{table.num_rows:,} rows"):
        assert needed in words
    page = (EXAMPLES.parent / "docs" / "worked-example.md").read_text(encoding="utf-8")
    assert "FiveThirtyEight" in page
    assert "CC BY 4.0" in page


@pytest.mark.real
@with_real_data
def test_the_table_of_all_forecasts_is_what_the_example_prints_of_the_full_data():
    page = (EXAMPLES.parent / "docs" / "worked-example.md").read_text(encoding="utf-8")
    done = run("which_are_calibrated.py", REAL)
    assert done.returncode == 0, done.stderr
    assert f"```text\n{done.stdout}```" in page


def test_errors_by_years_are_larger_where_rows_share_an_outcome_and_alike_for_games():
    done = run("which_are_calibrated.py")
    assert done.returncode == 0, done.stderr
    ratio = {}
    for line in done.stdout.splitlines()[1:]:
        name, _ = line.split(" / ")
        by_rows, by_years = (float(error) for error in re.findall(r"± ?(\d+\.\d+)", line))
        ratio.setdefault(name, []).append(by_years / by_rows)
    assert all(r < 2 for r in ratio["mlb_games"] + ratio["nba_games"])
    assert all(r > 2 for r in ratio["college_football_playoff"])


@pytest.mark.real
@with_real_data
def test_the_sample_is_a_part_of_the_published_data_with_no_value_changed():
    sample, whole = pq.read_table(SAMPLE), pq.read_table(REAL)
    schema = sample.schema
    first = pc.min(sample["timestamp"]).as_py().replace(month=1, day=1)
    pairs = sample.group_by(["model_id", "class_id"]).aggregate([]).to_pylist()
    assert len(pairs) == 4
    parts = []
    for pair in pairs:
        mine = (pc.field("model_id") == pair["model_id"]) & (
            pc.field("class_id") == pair["class_id"]
        )
        since = pc.field("timestamp") >= pa.scalar(first, whole.schema.field("timestamp").type)
        parts.append(whole.filter(mine & since).cast(schema))
    order = [(name, "ascending") for name in schema.names]
    assert pa.concat_tables(parts).sort_by(order).equals(sample.sort_by(order))


@pytest.mark.real
@with_real_data
def test_all_published_forecasts_say_what_the_sample_says(tmp_path, published):
    done = run("published_forecasts.py", tmp_path, REAL)
    assert done.returncode == 0, done.stderr
    whole = nights(done.stdout)
    pairs = {(model, class_id) for model, class_id, _ in whole[0][0]}
    assert len(pairs) == 31
    for (sampled, _), (told, _) in zip(published, whole, strict=True):
        for key, words in sampled.items():
            assert told[key].split(",")[0].split(":")[0] == words.split(",")[0].split(":")[0], key
    for (model, _, _), words in whole[0][0].items():
        if model.startswith(("nba_", "nhl_", "march_")):
            assert words.startswith("failed: no sample for ")
