"""FAULT 19 on a cluster of two nodes: one is lost, one has no calhard."""

import json
import os
import subprocess
import sys

import pytest

from tests.engines.ray.conftest import PATHS


@pytest.mark.slow
def test_a_node_that_dies_is_told_as_lost_and_one_without_calhard_is_refused():
    environment = os.environ | {"PYTHONPATH": PATHS}
    command = [sys.executable, "-m", "tests.engines.ray.two_nodes"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]  # Ray talks, too
    told = json.loads(lines[-1])
    missing = told.pop("missing")
    kind, said = told.pop("lost")
    assert told == {"slots": 2, "its": True, "other": ["done", 0], "after": [0, 1, 4]}
    assert kind == "lost"
    assert said.startswith("a node of the Ray cluster was lost (NodeDiedError)")
    assert "have no such calhard (No module named 'calhard.engines'" in missing
    assert "put one and the same wheel of calhard on every node" in missing
