"""examples/service.py, as a user runs it."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "service.py"


def test_the_example_tells_the_release_that_broke_the_model_and_nothing_before():
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLE.parents[1],
    )
    assert done.returncode == 1, done.stderr
    told = done.stdout.split("\n\n", 1)[0].splitlines()
    assert {line[:10] for line in told} == {"2026-05-22"}
    jumped = {line.split()[4] for line in told if "SuddenJump" in line}
    assert jumped == {"aece", "dece", "alpha"}
    assert "WEEKLY CALIBRATION SLO REPORT" in done.stdout
    assert "CALIBRATION REGRESSION REPORT" in done.stdout
