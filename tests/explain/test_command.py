"""The command: words and a plot where someone looks, plain bytes elsewhere, a PNG, JSON."""

import json
import os
import pty
import subprocess
import zlib

import pytest

from calhard import explain
from tests.explain.conftest import COMMAND
from tests.explain.nights import RED

STEP = ("churn", "step", "aece")


def on_terminal(environment, *args):
    """Run the command with a terminal as stdout; return its code and what was shown."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        env=environment,
        stdout=slave,
        stderr=subprocess.DEVNULL,
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
    return child.wait(), shown.decode()


def drawn(text):
    """The lines of the plot."""
    return [line for line in text.replace("\r", "").split("\n") if "┤" in line or "│" in line]


def test_a_terminal_gets_the_words_and_a_plot_with_colours_as_wide_as_it_is(environment, nights):
    code, shown = on_terminal(environment, nights, *STEP)
    assert code == 0
    assert explain(nights, *STEP).text in shown.replace("\r", "")
    assert len(drawn(shown)) >= 15
    assert "\x1b[38;5;1m" in shown, "the bound is red"
    assert "\x1b[48;" not in shown, "the terminal's own background stays"
    assert "┃ onset 05-29 13:00" in shown


def test_no_color_is_heeded(environment, nights):
    code, shown = on_terminal(environment | {"NO_COLOR": "1"}, nights, *STEP)
    assert code == 0
    assert "\x1b" not in shown
    assert max(map(len, drawn(shown))) == 100


def test_elsewhere_there_is_no_escape_code(spawn, nights):
    ended = spawn(nights, *STEP)
    assert (ended.code, ended.err) == (0, "")
    assert b"\x1b" not in ended.out
    assert len(drawn(ended.out.decode())) >= 15


@pytest.mark.parametrize("names", [STEP, (RED, RED, "aece"), ("churn",)])
def test_a_stdout_that_is_not_unicode_gets_ascii(spawn, nights, names):
    ended = spawn(nights, *names, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (ended.code, ended.err) == (0, "")
    text = ended.out.decode("ascii")
    assert "+- is one standard error" in text or "of which none is allowed" in text
    assert "! onset" in text
    assert "*" in text
    assert "\x1b" not in text


def test_json_is_the_verdict_and_the_evidence(run, nights):
    ended = run(nights, *STEP, "--json")
    content = json.loads(ended.out)
    found = explain(nights, *STEP)
    assert content == json.loads(json.dumps(found.to_dict()))
    assert content["verdict"] == "alarmed"
    assert content["sentence"] == found.sentence
    assert content["evidence"]["q_value"] == found.facts.evidence["q_value"]
    assert content["regression"]["onset"] == "2026-05-29T13:00:00+00:00"
    assert content["series"] == []
    model = json.loads(run(nights, "churn", "--json").out)
    assert len(model["series"]) == 30


def test_png_writes_an_image_of_the_size_that_is_told(run, nights, tmp_path):
    file = tmp_path / "step.png"
    ended = run(nights, *STEP, "--png", file)
    assert (ended.code, ended.err) == (0, "")
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1_200, 540)
    assert len(set(zlib.decompress(idat(content)))) > 50, "it is not one colour"


def idat(content):
    """The compressed pixels of a PNG."""
    at, parts = 8, []
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if kind == b"IDAT":
            parts.append(content[at + 8 : at + 8 + size])
        at += 12 + size
    return b"".join(parts)


def test_png_without_matplotlib_says_what_to_install(spawn, nights, tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("raise ImportError('none here')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    child = {"PYTHONPATH": path + os.pathsep + os.pathsep.join(_roots())}
    ended = spawn(nights, *STEP, "--png", tmp_path / "x.png", **child)
    assert ended.code == 2
    assert 'install the extra: pip install "calhard[plots]"' in ended.err
    assert ended.out == b""
    assert not (tmp_path / "x.png").exists()
    assert spawn(nights, *STEP, **child).code == 0, "the rest needs no matplotlib"


def _roots():
    from tests.explain.conftest import ROOTS

    return ROOTS


def test_png_of_what_was_not_kept_and_png_into_nowhere_say_so(run, flagged, nights, tmp_path):
    ended = run(flagged, "churn", "healthy", "aece", "--png", tmp_path / "x.png")
    assert ended.code == 2
    assert "no values of this series were kept" in ended.err
    ended = run(nights, *STEP, "--png", tmp_path / "none" / "x.png")
    assert ended.code == 4
    assert "x.png: No such file or directory" in ended.err


def test_wrong_names_end_with_2_and_a_missing_night_with_4(run, nights):
    ended = run(nights, "chum")
    said = "calhard: no model chum (did you mean churn) in night 2026-05-31\n"
    assert (ended.code, ended.out, ended.err) == (2, b"", said)
    assert run(nights, "churn", "--night", "2026-05-12").code == 4
    assert run(nights, "churn", "--night", "yesterday").code == 2


def test_a_night_can_be_named(run, nights):
    ended = run(nights, *STEP, "--night", "2026-05-11")
    assert ended.out.decode().startswith("churn / step / aece, night 2026-05-11\n\nSILENT because ")


def test_a_reader_that_leaves_ends_it_quietly(environment, nights):
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, str(nights), *STEP]
    done = subprocess.run(
        command, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
