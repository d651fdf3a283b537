"""Shell completion, in the shells that are here."""

import os
import shutil
import subprocess
import sys

import pytest

SHELLS = ("bash", "zsh", "fish")


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def with_calhard(environment, tmp_path):
    """Variables under which a shell finds the command ``calhard``."""
    shim = tmp_path / "bin" / "calhard"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m calhard.cli.main "$@"\n')
    shim.chmod(0o755)
    return environment | {"PATH": f"{shim.parent}{os.pathsep}{environment['PATH']}"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_that_calls_calhard(run, shell):
    ended = run("completion", shell)
    assert ended.code == 0
    assert f"_CALHARD_COMPLETE={shell}_complete" in ended.out


@pytest.mark.parametrize("shell", [pytest.param(s, marks=needs(s)) for s in SHELLS])
def test_the_script_is_valid(run, shell, tmp_path):
    script = tmp_path / "script"
    script.write_text(run("completion", shell).out)
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@needs("bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("au", {"audit"}),
        ("re", {"report"}),
        ("zz", set()),
        ("c", {"check", "config", "completion"}),
    ],
)
def test_bash_completes_commands(with_calhard, typed, offered):
    program = (
        'eval "$(calhard completion bash)"; COMP_WORDS=(calhard "$1"); COMP_CWORD=1; '
        '_calhard_completion calhard "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", typed],
        env=with_calhard,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("calhard audit --eng", {"--engine"}),
        ("calhard audit --engine r", {"ray"}),
        ("calhard simulate --cadence ", {"hourly", "daily", "mixed"}),
    ],
)
def test_options_and_their_choices_are_completed(with_calhard, words, offered):
    typed = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "COMP_TYPE": "9"}
    done = subprocess.run(
        ["calhard"],
        env=with_calhard | typed | {"_CALHARD_COMPLETE": "bash_complete"},
        executable=shutil.which("calhard", path=with_calhard["PATH"]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.split(",")[1] for line in done.stdout.split()} == offered
