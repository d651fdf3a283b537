"""What an explanation says of the reliability of both windows, and where it says nothing."""

import json
import zlib

import pytest

from calhard import explain
from calhard.explanation.reliability import table_lines
from calhard.reliability import Cell
from calhard.store import open_night
from tests.reliability.nights import audit, measured, write


@pytest.fixture(scope="module")
def measured_nights(tmp_path_factory):
    history = write(tmp_path_factory.mktemp("history"), *measured())
    out = tmp_path_factory.mktemp("nights")
    audit(history, out)
    return out


def section(text):
    """The lines of the part, without its label."""
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("Came true"))
    return [line[11:] for line in lines[first:]]


def test_both_windows_are_shown_with_the_share_that_came_true(measured_nights):
    lines = section(explain(measured_nights, "broken", "churn", "aece").text)
    now, before = (next(i for i, line in enumerate(lines) if line.startswith(w)) for w in WINDOWS)
    assert lines[now].startswith("Now: 4,200 labels in 7 periods, on average 0.16 off; 13 of 13")
    assert "outside the 95% band, 0.5 expected by chance" in " ".join(lines[now : now + 2])
    assert " ".join(lines[before : before + 2]).startswith(
        "Before: 16,800 labels in 28 periods, on average 0.0053 off; 0 of 14 cells outside"
    )
    above = [line for line in lines[now:before] if line.endswith("above")]
    assert len(above) == 13
    assert not [line for line in lines[before:] if line.endswith(("above", "below"))]


WINDOWS = ("Now: ", "Before: ")


@pytest.mark.parametrize("width", [60, 80, 96])
def test_the_table_stays_within_the_width(measured_nights, width):
    told = explain(measured_nights, "broken", "churn", "dece").told(width)
    assert max(len(line) for line in told.split("\n")) <= width


def test_a_series_without_bins_says_nothing_of_it(measured_nights, nights):
    assert "Came true" not in explain(measured_nights, "sound", "churn", "aece").text
    assert explain(measured_nights, "sound", "churn", "aece").reliability == {}
    assert "Came true" not in explain(nights, "churn", "step", "aece").text


def test_a_night_of_an_older_version_has_no_such_table_and_is_explained(measured_nights, tmp_path):
    night = open_night(measured_nights)
    manifest = json.loads((night.path / "manifest.json").read_text())
    manifest["files"] = [f for f in manifest["files"] if f["name"] != "reliability.parquet"]
    old = tmp_path / "nights" / night.path.name
    old.mkdir(parents=True)
    for entry in manifest["files"]:
        (old / entry["name"]).parent.mkdir(exist_ok=True)
        (old / entry["name"]).write_bytes((night.path / entry["name"]).read_bytes())
    (old / "manifest.json").write_text(json.dumps(manifest))
    assert open_night(tmp_path).verify() == []
    found = explain(tmp_path, "broken", "churn", "aece")
    assert found.verdict == "alarmed"
    assert "Came true" not in found.text


def test_json_has_every_cell(run, measured_nights):
    ended = run(measured_nights, "broken", "churn", "aece", "--json")
    told = json.loads(ended.out)["reliability"]
    assert sum(cell["count"] for cell in told["analysis"]) == 4_200
    assert {"mean_score", "mean_label", "band_low", "band_high"} <= set(told["reference"][0])


def test_the_picture_has_both_diagrams_below(run, measured_nights, tmp_path):
    file = tmp_path / "broken.png"
    assert run(measured_nights, "broken", "churn", "aece", "--png", file).code == 0
    assert size(file.read_bytes()) == (1_200, 1_260)
    again = tmp_path / "again.png"
    run(measured_nights, "broken", "churn", "aece", "--png", again)
    assert again.read_bytes() == file.read_bytes()
    run(measured_nights, "sound", "churn", "aece", "--png", file)
    assert size(file.read_bytes()) == (1_200, 540)


def size(png):
    """Width and height of a PNG that is whole."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33], "big")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_a_cell_within_its_band_has_no_word_and_others_say_on_which_side():
    def cell(mean_label):
        return Cell(3, 1 / 15, 0.2, 0.26, 1_234, 1_234.0, 0.23, mean_label, 1_234.0, 0.2, 0.25)

    lines = table_lines([cell(0.1), cell(0.2), cell(0.25), cell(0.3)])
    assert lines[0] == "scores       labels  mean  came true  95% band"
    assert lines[1] == "0.2 to 0.26   1,234  0.23        0.1  0.2 to 0.25 below"
    assert [line.split()[-1] for line in lines[1:]] == ["below", "0.25", "0.25", "above"]
