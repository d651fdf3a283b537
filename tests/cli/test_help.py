"""Help: examples for every command, at once, without loading an audit."""

import json
import re
import subprocess
import sys

import pytest

from calhard._version import __version__
from calhard.cli.main import COMMANDS

HEAVY = ("numpy", "scipy", "pyarrow", "pydantic", "rich", "structlog", "jinja2")
PROGRAM = """
import contextlib, io, json, sys
from calhard.cli.main import cli
found = {}
for args in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(args=args, prog_name="calhard")
    found[" ".join(args)] = [code, sorted(set(json.loads(sys.argv[2])) & set(sys.modules))]
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_begin_with_calhard_or_its_shell(run, name):
    ended = run(name, "--help")
    assert ended.code == 0
    assert ended.err == ""
    examples = ended.out.split("Examples:\n")[1].split("\n\n")[0].split("\n")
    assert len(examples) >= 2
    assert all(re.match(r'    (calhard |eval "\$\(calhard )', line) for line in examples)
    assert "\\b" not in ended.out
    assert "-h, --help" in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_uses_options_that_exist(run, name):
    text = run(name, "--help").out
    examples, options = text.split("Examples:\n")[1].split("Options:\n")
    own = [line for line in examples.split("\n") if f"calhard {name} " in line]
    used = {option for line in own for option in re.findall(r"--[a-z-]+", line)}
    assert used <= set(re.findall(r"--[a-z-]+", options))


def test_help_loads_no_heavy_package(environment):
    calls = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(calls), json.dumps(HEAVY)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert len(found) == len(COMMANDS) + 2
    assert all(ended == [0, []] for ended in found.values()), found


def test_the_list_of_commands_tells_a_newcomer_where_to_start(run):
    ended = run("--help")
    assert "Start with:\n    calhard demo\n" in ended.out
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", ended.out, re.MULTILINE)


def test_every_listed_command_can_be_called():
    from calhard.cli.main import cli

    assert {cli.get_command(None, name).name for name in COMMANDS} == set(COMMANDS)


def test_without_arguments_the_help_is_shown_and_nothing_is_done(run):
    ended = run()
    assert ended.code == 2
    assert "Start with:" in ended.err
    assert ended.out == ""


def test_the_version_is_printed(run):
    assert run("--version").out == f"calhard, version {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["adit"], "No such command 'adit'; did you mean 'audit'?"),
        (["reprot", "x"], "No such command 'reprot'; did you mean 'report'?"),
        (["zzzz"], f"No such command 'zzzz'; there are {', '.join(COMMANDS)}"),
        (["audit", "x", "--out", "y", "--jsn"], "--json"),
        (["--debgu", "audit"], "--debug"),
        (["audit", "x"], "Missing option '--out'"),
        (["audit", "x", "--out", "y", "z"], "unexpected extra argument (z)"),
        (["audit", "x", "--out", "y", "--workers", "0"], "--workers"),
        (["audit", "x", "--out", "y", "--engine", "spark"], "'local', 'ray'"),
        (["simulate", "x", "--models", "many"], "--models"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_what_is_mistyped_ends_with_2_and_names_what_is_meant(run, typed, said):
    ended = run(*typed)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
