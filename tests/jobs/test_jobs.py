"""The jobs are the commands, on Ray: the same options, results and exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from calhard.simulate import FleetSpec, write_fleet

ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
COMMANDS = {"measure.py": "measure", "nightly_audit.py": "audit", "prepare.py": "prepare"}
SAMPLE = ROOT / "examples" / "data" / "forecasts-sample.parquet"


def run(*words, folder):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=env,
        timeout=300,
    )


def cli(*words, folder):
    return run("-m", "calhard.cli.main", *words, folder=folder)


def on_ray(name, *words, folder):
    return run(ROOT / "jobs" / name, *words, "--ray-address", "local", folder=folder)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


def test_there_is_a_job_for_every_command_that_computes():
    assert [job.name for job in JOBS] == sorted(COMMANDS)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_tells_its_command_and_takes_the_options_of_the_command_line(job, tmp_path):
    text = job.read_text(encoding="utf-8")
    assert f"python jobs/{job.name} /shared/" in text
    helped = run(job, "--help", folder=tmp_path)
    assert helped.returncode == 0
    assert helped.stdout == cli(COMMANDS[job.name], "--help", folder=tmp_path).stdout
    options = set(re.findall(r"--[a-z-]+", text)) - {"--address"}
    assert all(option in helped.stdout for option in options)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_ends_with_the_exit_code_of_the_command(job, tmp_path):
    wrong = run(job, "--nothing-of-the-kind", folder=tmp_path)
    assert wrong.returncode == 2
    assert "No such option" in wrong.stderr


@pytest.mark.slow
def test_an_audit_of_a_prepared_history_is_on_ray_what_it_is_here(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")
    write_fleet(
        FleetSpec(models=6, classes=2, days=36, cadence="daily", seed=5), tmp_path / "fleet"
    )
    here, there = tmp_path / "here", tmp_path / "there"
    assert cli("prepare", "fleet", "here/prepared", folder=tmp_path).returncode == 0
    done = on_ray("prepare.py", "fleet", "there/prepared", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    audit = ("there/prepared", "--quiet", "--out")
    code = cli("audit", *audit, "here/nights", folder=tmp_path).returncode
    done = on_ray("nightly_audit.py", *audit, "there/nights", folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert "report.html" in {path.name for path in there.rglob("*")}
    assert files(there) == files(here)


@pytest.mark.slow
def test_a_measured_history_is_on_ray_what_it_is_here(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")
    few = pq.read_table(SAMPLE).slice(0, 2_000)
    pq.write_table(few, tmp_path / "few.parquet")
    measure = ("few.parquet", "--period", "1mo", "--history")
    assert cli("measure", *measure, "here", folder=tmp_path).returncode == 0
    done = on_ray("measure.py", *measure, "there", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "here")) > 1
    assert files(tmp_path / "there") == files(tmp_path / "here")
