"""`calhard doctor`: a line for each thing, JSON, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.doctor.finding import note, ok, wrong

ROOT = Path(__file__).parents[2]


def doctor(*words, folder, **variables):
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", **variables}
    return subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", "doctor", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_thing_has_its_line():
    assert ok("numpy", "2.1").line() == "ok     numpy         2.1"
    assert note("cupy", "not installed").line() == "note   cupy          not installed"
    line = wrong("clock", "90 s behind", "set it by NTP").line()
    assert line == "wrong  clock         90 s behind; set it by NTP"


def test_a_machine_on_which_nothing_is_wrong(tmp_path):
    done = doctor(folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.split()[0] in {"ok", "note"} for line in lines)
    assert {"calhard", "python", "numpy", "memory", "out", "clock", "gpu", "ray"} <= {
        line.split()[1] for line in lines
    }
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_something_wrong_ends_with_1_and_json_says_what(tmp_path):
    (tmp_path / "nights").write_text("")
    done = doctor("--out", "nights/of/june", "--json", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["sound"] is False
    (found,) = [each for each in told["findings"] if each["state"] == "wrong"]
    assert found["name"] == "out"
    assert found["remedy"] == "name another --out"


@pytest.mark.parametrize("words", [("--mlflow-uri", "mlruns"), ("--nothing",)])
def test_what_is_no_address_and_no_option_is_a_usage_error(words, tmp_path):
    done = doctor(*words, "--json", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""


def test_help_does_not_load_ray():
    program = "import sys, calhard.doctor, calhard.cli.doctor; print('ray' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "False\n"
