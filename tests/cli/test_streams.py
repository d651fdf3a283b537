"""Terminals, pipes and signals: a bar where someone looks, quiet ends, the right code."""

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from calhard.store import list_nights
from tests.cli.conftest import COMMAND

FULL = Path("/dev/full")


@pytest.fixture
def no_reader():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def on_terminal(environment, *args):
    """Run a command whose stderr is a terminal; return its code, stdout and what was shown."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=slave,
        stdin=subprocess.DEVNULL,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # Linux says so at the end of a terminal
            break
        if not part:
            break
        shown += part
    os.close(master)
    out = child.stdout.read()
    child.stdout.close()
    return child.wait(), out.decode(), shown.decode()


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(environment, healthy, tmp_path):
    code, out, shown = on_terminal(environment, "audit", healthy, "--out", tmp_path)
    assert code == 0
    assert "reading and assessing" in shown
    assert "1/1" in shown
    assert "\x1b[?25l" in shown, "hides the cursor while it draws"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "and shows it again"
    assert "timestamp=" not in shown
    assert "\x1b" not in out, "stdout is no terminal: no colours"
    assert out.startswith("2026-05-31  HEALTHY\n")


def test_a_quiet_audit_shows_no_bar_on_a_terminal(environment, healthy, tmp_path):
    assert on_terminal(environment, "audit", healthy, "--out", tmp_path, "-q") == (0, "", "")


def test_no_terminal_gets_lines_of_a_log_and_no_bar(spawn, healthy, tmp_path):
    ended = spawn("audit", healthy, "--out", tmp_path)
    assert ended.code == 0
    assert "\x1b" not in ended.err + ended.out
    assert "\r" not in ended.err
    assert all(line.startswith("timestamp=") for line in ended.err.splitlines())


@pytest.mark.parametrize("kind", [[], ["--weekly"]])
def test_a_reader_that_leaves_ends_a_report_quietly(spawn, nights, no_reader, kind):
    ended = spawn("report", nights, *kind, stdout=no_reader)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("command", [["config"], ["--help"]])
def test_a_reader_that_leaves_ends_other_commands_quietly(spawn, no_reader, command):
    ended = spawn(*command, stdout=no_reader)
    assert (ended.code, ended.err) == (0, "")


def test_findings_end_with_1_even_if_nobody_reads_them(spawn, broken, tmp_path, no_reader):
    ended = spawn("audit", broken, "--out", tmp_path, "-q", stdout=no_reader)
    assert (ended.code, ended.err) == (1, "")


def test_a_report_can_be_cut_by_head(environment, nights):
    with subprocess.Popen(
        [*COMMAND, "report", str(nights)], env=environment, stdout=subprocess.PIPE
    ) as report:
        head = subprocess.run(
            ["head", "-1"], stdin=report.stdout, capture_output=True, text=True, check=True
        )
        report.stdout.close()
        assert report.wait() == 0
    assert head.stdout == "2026-05-31  NEEDS ATTENTION\n"


@pytest.mark.parametrize("stream", ["1", "2"])
def test_an_audit_with_a_closed_stream_ends_as_ever(environment, broken, tmp_path, stream):
    shell = ["sh", "-c", f'exec "$@" {stream}>&-', "sh", *COMMAND, "audit", str(broken), "--json"]
    done = subprocess.run(
        [*shell, "--out", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "timestamp=" not in done.stdout
    assert list_nights(tmp_path) == ["2026-05-31"]


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [["report"], ["--help"]])
def test_a_full_disk_behind_stdout_is_one_message_and_4(spawn, nights, command):
    more = [nights] if "report" in command else []
    with FULL.open("w") as full:
        ended = spawn(*command, *more, stdout=full)
    assert ended.code == 4
    assert ended.err == "calhard: No space left on device\n"


def test_control_c_ends_an_audit_with_130_and_nothing_published(
    run, healthy, tmp_path, monkeypatch
):
    from calhard.pipeline import run as wired

    def interrupted(*args, **more):
        signal.raise_signal(signal.SIGINT)
        return publish(*args, **more)

    publish = wired.publish
    monkeypatch.setattr(wired, "publish", interrupted)
    ended = run("audit", healthy, "--out", tmp_path, "-q")
    assert ended.code == 130
    assert ended.err.strip() == "calhard: interrupted; run the command again to finish"
    assert list_nights(tmp_path) == []
    monkeypatch.undo()
    assert run("audit", healthy, "--out", tmp_path, "-q").code == 0
    assert list_nights(tmp_path) == ["2026-05-31"]
