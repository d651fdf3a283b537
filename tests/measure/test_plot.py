"""The diagram of one group out of a measured folder: PNG and SVG, and clear refusals."""

import shutil
import sys
import xml.etree.ElementTree as ET
import zlib
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from calhard.errors import ConfigError, InputError
from calhard.measure.plot import plot_group
from calhard.reliability.figure import picture_bytes, plot_reliability
from tests.reliability.nights import measured, write
from tests.report.shown import diagrams

GROUP = ("broken", "churn")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write(tmp_path_factory.mktemp("history"), *measured())


def pixels(png):
    """Width and height of a PNG whose parts are whole."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33], "big")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_a_png_is_drawn_and_the_diagram_returned(history, tmp_path):
    drawn = plot_group(history, *GROUP, tmp_path / "r.png")
    assert pixels((tmp_path / "r.png").read_bytes()) == (768, 864)
    assert (drawn.n, drawn.periods, drawn.span) == (35 * 600, 35, "2026-04-27 to 2026-05-31")


def test_it_is_as_far_off_as_the_labels_of_its_periods_together(history, tmp_path):
    table = pq.read_table(history, filters=[("model_id", "==", "broken")])
    late = table.filter(table["timestamp"].to_numpy() >= datetime(2026, 5, 25))  # noqa: DTZ001  # NumPy knows no zones
    drawn = plot_group(history, *GROUP, tmp_path / "r.png", since="2026-05-25")
    assert late.num_rows == drawn.periods == 7
    assert 0 < drawn.distance < 0.2


def test_a_time_is_from_its_first_instant_on_and_before_its_end(history, tmp_path):
    drawn = plot_group(
        history,
        *GROUP,
        tmp_path / "r.svg",
        since=datetime(2026, 5, 1, tzinfo=UTC),
        until="2026-05-11",
    )
    assert (drawn.span, drawn.periods) == ("2026-05-01 to 2026-05-10", 10)


def test_an_svg_is_sound_xml_without_a_date(history, tmp_path):
    plot_group(history, *GROUP, tmp_path / "r.svg")
    text = (tmp_path / "r.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert "<dc:date>" not in text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_diagram_gives_the_same_bytes(kind, tmp_path):
    diagram = diagrams("m", "c")["analysis"]
    first = picture_bytes(diagram, kind)
    plot_reliability(diagram, tmp_path / f"r.{kind.upper()}")
    assert (tmp_path / f"r.{kind.upper()}").read_bytes() == first


def test_no_name_is_a_formula_or_moves_the_cursor(tmp_path):
    name = "$\\frac{1}{2}$ \x1b[31m\u202e <b>&amp;"
    plot_reliability(diagrams(name, name)["reference"], tmp_path / "r.svg")
    assert ET.parse(tmp_path / "r.svg").getroot() is not None


def test_a_diagram_without_labels_is_an_empty_frame():
    diagram = diagrams("m", "c")["reference"]
    empty = type(diagram)("m", "c", ())
    assert pixels(picture_bytes(empty)) == (768, 864)
    assert empty.verdict == "no labels"


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (("brokn", "churn"), "no model brokn (did you mean broken)"),
        (("broken", "chrun"), "no class chrun (did you mean churn) of broken"),
        (("zzz", "churn"), "no model zzz (there are broken, sound, steady)"),
        (("br\udcffken", "churn"), "no model br\\udcffken (did you mean broken)"),
    ],
)
def test_an_unknown_group_is_refused_with_the_names_near_it(history, tmp_path, group, words):
    with pytest.raises(ConfigError) as refused:
        plot_group(history, *group, tmp_path / "r.png")
    assert words in str(refused.value)
    assert not (tmp_path / "r.png").exists()


def test_a_time_without_periods_says_which_there_are(history, tmp_path):
    with pytest.raises(ConfigError, match=r"first starts at 2026-04-27 00:00 UTC, its last at"):
        plot_group(history, *GROUP, tmp_path / "r.png", since="2027-01-01")


@pytest.mark.parametrize("name", ["r.jpg", "r", "r.pdf"])
def test_another_kind_of_picture_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(ConfigError, match=r"a \.png or an \.svg"):
        plot_group(tmp_path / "nowhere", *GROUP, tmp_path / name)


def test_a_folder_without_bins_is_refused_with_the_command_that_writes_them(history, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(history, bare, ignore=shutil.ignore_patterns("_bins"))
    with pytest.raises(InputError, match=r"holds no reliability bins .*calhard measure"):
        plot_group(bare, *GROUP, tmp_path / "r.png")
    with pytest.raises(InputError, match="no such folder"):
        plot_group(tmp_path / "nowhere", *GROUP, tmp_path / "r.png")


def test_a_damaged_file_is_named(history, tmp_path):
    place = "_bins/2026-05.parquet"
    folder = tmp_path / "history"
    shutil.copytree(history, folder)
    content = (folder / place).read_bytes()
    (folder / place).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"2026-05\.parquet: cannot be read"):
        plot_group(folder, *GROUP, tmp_path / "r.png")


def test_without_matplotlib_it_says_what_to_install(history, tmp_path, monkeypatch):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("raise ImportError('none here')")
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r'pip install "calhard\[plots\]"'):
        plot_group(history, *GROUP, tmp_path / "r.png")
    assert not (tmp_path / "r.png").exists()
