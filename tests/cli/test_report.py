"""``calhard report``: a published night, printed again."""

import json
import shutil

import pytest

from calhard.store import open_night


def test_the_summary_is_the_one_that_the_audit_printed(run, broken, tmp_path):
    audited = run("audit", broken, "--out", tmp_path, "-q")
    ended = run("report", tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, audited.out, "")


@pytest.mark.parametrize(
    ("option", "file"),
    [("--weekly", "weekly_slo_report.txt"), ("--regression", "regression_report.txt")],
)
def test_the_texts_are_printed_as_they_were_published(run, nights, option, file):
    ended = run("report", nights, option)
    assert ended.code == 0
    assert ended.out == open_night(nights).text(file)


def test_json_is_summary_json(run, nights):
    assert json.loads(run("report", nights, "--json").out) == open_night(nights).summary


def test_html_is_where_the_page_is(run, nights):
    assert run("report", nights, "--html").out == f"{open_night(nights).path / 'report.html'}\n"


def test_a_night_can_be_named(run, broken, tmp_path):
    for as_of in ("2026-05-30", "2026-05-31"):
        run("audit", broken, "--out", tmp_path, "-q", "--as-of", as_of)
    assert run("report", tmp_path).out.startswith("2026-05-30  ")
    assert run("report", tmp_path, "--night", "2026-05-29").out.startswith("2026-05-29  ")
    gone = run("report", tmp_path, "--night", "2026-01-01")
    assert gone.code == 4
    said = f"calhard: {tmp_path}: no night 2026-01-01; there are 2026-05-29, 2026-05-30\n"
    assert gone.err == said


@pytest.mark.parametrize("night", ["yesterday", "../x", "2026-02-30", ""])
def test_a_night_that_is_no_date_ends_with_2(run, nights, night):
    ended = run("report", nights, "--night", night)
    assert ended.code == 2
    assert f"{night!r} is no night; write one such as 2026-05-31" in ended.err


def test_a_folder_without_nights_says_so(run, tmp_path):
    ended = run("report", tmp_path)
    assert ended.code == 4
    assert ended.err.startswith(f"calhard: {tmp_path}: no night is published there; calhard audit ")


def test_verify_finds_what_changed_after_publication(run, nights, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(nights, out)
    assert run("report", out, "--verify").code == 0
    night = open_night(out).path
    (night / "report.html").write_text("forged")
    (night / "health.parquet").unlink()
    ended = run("report", out, "--verify")
    assert ended.code == 4
    assert ended.out == ""
    assert "health.parquet is missing" in ended.err
    assert "report.html has changed since it was published" in ended.err
    assert "audit the night again with --force" in ended.err
