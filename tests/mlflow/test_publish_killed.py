"""A publisher that is killed, wherever that is: there is one complete run."""

import json
import subprocess
import sys
from pathlib import Path

from calhard.sinks.mlflow.client import connect
from tests.mlflow.nights import complete, runs_of, slight, whole

ROOT = Path(__file__).parents[2]
KILLED = -9


def test_killed_after_every_request_twice_and_run_again_there_is_one_complete_run(settings, server):
    done = subprocess.run(
        [sys.executable, "-m", "tests.mlflow.mortal", server.uri, "killed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["ended"][2] for step in steps] == [0] * len(steps)
    assert [step["ended"][0] for step in steps] == [KILLED] * (len(steps) - 1) + [0]
    assert len(steps) > 10
    client, content = connect(settings).client, slight()
    for step in steps:
        runs = runs_of(client, step["fleet"])
        assert len(runs) == 1, step
        assert len(complete(runs)) == 1, step
        whole(client, runs[0], content)
        assert [f.path for f in client.list_artifacts(runs[0].info.run_id)] == ["one.txt"]
