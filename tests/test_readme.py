"""What the README tells a user to type is typed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.cli.main import COMMANDS
from calhard.plan import AuditPlan
from docs.make.pages import blocks as fenced
from docs.make.pages import typed

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return [b.body for b in fenced(TEXT) if b.mark == "run" and b.language == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the README's commands have been run, and what they said."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", place / "examples")
    said = {}
    for line in "".join(blocks("console")).splitlines():
        said[line] = typed(line, place)
    return place, said


def test_every_command_ends_well(folder):
    _, said = folder
    assert len(said) >= 4
    for line, done in said.items():
        audited = line.startswith("calhard audit")
        assert done.returncode in ({1} if audited else {0}), (line, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    weekly = next(done for line, done in said.items() if "--weekly" in line)
    assert "WEEKLY CALIBRATION SLO REPORT" in weekly.stdout


def test_the_night_holds_the_files_that_are_listed(folder):
    place, _ = folder
    (night,) = (place / "audits" / "nights").iterdir()
    rows = TEXT.split("## Read the results")[1].split("## Configure")[0]
    names = set(re.findall(r"`([a-z_]+(?:\.[a-z]+|/))`", rows))
    there = {p.name + ("/" if p.is_dir() else "") for p in night.iterdir()}
    assert names - {"pyarrow.Table"} <= there
    assert there - names <= {"actions.parquet"}


def test_the_lines_of_python_run(folder):
    place, _ = folder
    audit, service = (
        subprocess.run(
            [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False
        )
        for code in blocks("python")
    )
    assert audit.returncode == service.returncode == 0, audit.stderr + service.stderr
    assert "fleet ranking" in audit.stdout
    assert len(audit.stdout.splitlines()) > 1
    assert service.stdout.splitlines() == ["aece low", "clamp_rate medium", "INSUFFICIENT"]


def test_the_configuration_is_one():
    (text,) = blocks("toml")
    plan = AuditPlan.from_text(text)
    assert plan.fleet == "ranking"
    assert plan.overrides[0].model == "experimental-*"


def test_commands_and_targets_exist():
    quoted = re.findall(r"`(calhard [a-z]+)[^`]*`", TEXT)
    named = {text.removeprefix("calhard ") for text in quoted}
    assert named <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z-]+)`", TEXT)) | {"demo", "test"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_exit_codes_are_those_of_the_help():
    listed = set(re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE))
    help_ = typed("calhard audit --help", ROOT).stdout
    assert listed
    for code in listed:
        assert re.search(rf"(^|\s){code}  \w", help_), code


def test_measured_numbers_are_those_of_the_committed_benchmark():
    text = (ROOT / "benchmarks" / "results" / "statistics.json").read_text(encoding="utf-8")
    measured = {
        (row["promise"].split(" (")[0], row["setting"]): row
        for row in json.loads(text)["measured"]["rows"]
    }
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| ([\d.]+%) of ([\d,]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) > 15
    for promise, setting, bound, share, trials in rows:
        row = measured[promise, setting]
        assert (bound, share) == (row["bound"], f"{row['share']:.2%}"), (promise, setting)
        assert trials == f"{row['trials']:,}"


def speeds():
    """Yield the lines of the benchmarks of speed and of measure."""
    results = ROOT / "benchmarks" / "results"
    yield from json.loads((results / "speed.json").read_text(encoding="utf-8"))["measured"]
    measure = json.loads((results / "measure.json").read_text(encoding="utf-8"))["measured"]
    for part in measure.values():
        yield from part.get("lines", [])


def test_the_large_run_took_as_long_as_is_said():
    (wall,) = [row for row in speeds() if row["unit"] == "s" and "50,000,000" in row["setting"]]
    assert f"50 million rows on two cores in {wall['value']:.0f} seconds" in TEXT


def test_speeds_are_those_of_the_committed_benchmark():
    measured = {(row["what"], row["setting"]): row for row in speeds()}
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| ([\d.]+ (?:×|MiB)) \|$", TEXT, re.MULTILINE)
    assert len(rows) > 5
    for what, setting, gate, value in rows:
        row = measured[what, setting]
        missed = " (missed)" if row["holds"] is False else ""
        assert gate == (row["gate"] or "—") + missed
        assert value == f"{row['value']:.3g} {row['unit']}"
