"""What the pages tell a reader to type is typed; what they show is what it says."""

import re
from operator import attrgetter

import pytest

import calhard
from calhard.errors import ConfigError
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, write_fleet
from docs.make.configuration import DURATIONS
from docs.make.generated import PARTS, agree, pages, with_parts
from docs.make.meanings import COLUMNS, ROWS, SHARED
from docs.make.pages import OUTPUT, RUN, SAVE, blocks, run_page, typed
from docs.make.tables import NIGHT_TABLES

RUNNABLE = {"console", "python", "toml"}
REFRESH = "run: python -m docs.make"


def texts():
    return {page.name: page.read_text(encoding="utf-8") for page in pages()}


TEXTS = texts()
RUNNING = [name for name, text in TEXTS.items() if any(b.mark for b in blocks(text))]


def test_there_are_pages_and_most_of_them_run_something():
    assert {"README.md", "getting-started.md", "faq.md"} <= set(TEXTS)
    assert {"getting-started.md", "worked-example.md", "configuration.md"} <= set(RUNNING)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNING)
def test_every_block_ends_as_the_page_says_and_says_what_it_shows(name, tmp_path):
    ran = list(run_page(TEXTS[name], tmp_path))
    assert ran
    for done in ran:
        told = (done.block.body, done.stdout, done.stderr)
        assert done.code == done.block.ends_with, told
        assert "Traceback" not in done.stderr, told
        if done.shown is not None:
            stale = f"{name} is stale; {REFRESH}\n{done.printed}"
            assert agree(done.printed, done.shown.body), stale


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_that_could_be_run_is_shown_without_a_word(name):
    for block in blocks(TEXTS[name]):
        if block.language in RUNNABLE:
            known = RUN.fullmatch(block.mark) or SAVE.fullmatch(block.mark)
            assert known or block.mark.startswith("not run: "), block.body
        else:
            assert block.language == "text", block.body
            assert not block.mark or OUTPUT.fullmatch(block.mark), block.body


@pytest.mark.parametrize("name", TEXTS)
def test_generated_parts_are_those_of_the_code(name):
    assert with_parts(TEXTS[name]) == TEXTS[name], f"{name} is stale; {REFRESH}"


@pytest.mark.parametrize("part", PARTS)
def test_every_part_stands_in_one_page(part):
    marks = [f"<!-- generated: {part} -->\n", f"<!-- end of {part} -->\n"]
    holders = [name for name, text in TEXTS.items() if all(mark in text for mark in marks)]
    assert len(holders) == 1


def test_every_table_and_column_has_a_meaning_and_no_meaning_is_left_over():
    assert set(ROWS) == set(NIGHT_TABLES)
    for name, meanings in COLUMNS.items():
        assert set(meanings) <= set(NIGHT_TABLES[name].names), name
    everywhere = [set(schema.names) for schema in NIGHT_TABLES.values()]
    for column in SHARED:
        assert sum(column in names for names in everywhere) > 1, column


def test_every_key_of_the_configuration_is_in_the_reference():
    reference = TEXTS["configuration.md"]
    printed_keys = re.findall(r"^(\w+) = ", AuditPlan().to_toml(), re.MULTILINE)
    assert len(printed_keys) > 30
    for key in printed_keys:
        assert f"\n| `{key}` | " in reference, key


@pytest.mark.parametrize("path", DURATIONS)
def test_what_the_reference_calls_a_duration_is_no_number_of_samples(path):
    table, _, key = path.rpartition(".")
    with pytest.raises(ConfigError, match=f"{key}: (found 7; |not a duration)"):
        AuditPlan.from_text(f"[calibration.hardening.{table}]\n{key} = 7")
    plan = AuditPlan.from_text(f'[calibration.hardening.{table}]\n{key} = "36h"')
    assert str(attrgetter(path)(plan)) == "36h"


def test_the_exit_codes_are_those_of_the_help(tmp_path):
    listed = re.findall(r"^\| (\d+) \|", TEXTS["getting-started.md"], re.MULTILINE)
    help_ = typed("calhard audit --help", tmp_path).stdout
    assert set(listed) == set(re.findall(r"(?:^|\s{3,})(\d+)  \w", help_, re.MULTILINE))


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The folder of a small night."""
    folder = tmp_path_factory.mktemp("night")
    write_fleet(FleetSpec(models=2, days=12, broken=0.0), folder / "fleet")
    return calhard.audit(folder / "fleet", out=folder / "audits", workers=1).path


def test_the_sections_of_the_page_are_those_that_are_listed(night):
    page = (night / "report.html").read_text(encoding="utf-8")
    section = TEXTS["reading-a-report.md"].split("## The page")[1].split("\n## ")[0]
    named = re.findall(r"\*\*([^*]+)\*\*", section)
    assert len(named) > 8
    for title in named:
        assert re.search(rf">\s*{title}", page), title


def test_the_files_of_a_night_are_those_that_are_listed(night):
    there = {p.name + ("/" if p.is_dir() else "") for p in night.iterdir()}
    section = TEXTS["reading-a-report.md"].split("## The files of a night")[1]
    rows = re.findall(r"^\| (`[^|]*) \|", section.split("## The tables")[0], re.MULTILINE)
    assert there == {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
