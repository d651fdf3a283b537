"""``calhard prune``: old nights go, the latest stays, and a dry run drops nothing."""

import pytest

from calhard.store import list_nights


@pytest.fixture
def out(run, healthy, tmp_path):
    """Three nights, two days apart."""
    for day in ("27", "29", "31"):
        args = ["--out", tmp_path, "-q", "--as-of", f"2026-05-{day}"]
        assert run("audit", healthy, *args).code == 0
    return tmp_path


NIGHTS = ["2026-05-26", "2026-05-28", "2026-05-30"]


def test_a_dry_run_says_what_it_would_drop_and_drops_nothing(run, out):
    ended = run("prune", out, "--keep", "3d", "--dry-run")
    assert (ended.code, ended.out) == (0, "would drop 1 night: 2026-05-26\n")
    assert list_nights(out) == NIGHTS


def test_nights_older_than_what_is_kept_are_dropped(run, out):
    ended = run("prune", out, "--keep", "3d")
    assert (ended.code, ended.out) == (0, "dropped 1 night: 2026-05-26\n")
    assert list_nights(out) == NIGHTS[1:]
    assert run("prune", out, "--keep", "3d").out == "dropped 0 nights\n"


def test_the_latest_night_always_stays(run, out):
    ended = run("prune", out, "--keep", "1s")
    assert ended.out == "dropped 2 nights: 2026-05-26, 2026-05-28\n"
    assert list_nights(out) == NIGHTS[2:]


@pytest.mark.parametrize("keep", ["ninety days", "90", "-1d", "0d", "", "99999999d"])
def test_a_bad_duration_ends_with_2_and_drops_nothing(run, out, keep):
    ended = run("prune", out, f"--keep={keep}")
    assert ended.code == 2
    assert ended.err.startswith("calhard: --keep: ")
    assert list_nights(out) == NIGHTS


def test_an_output_folder_that_is_not_there_is_named(run, tmp_path):
    ended = run("prune", tmp_path / "gone", "--keep", "3d")
    assert ended.code == 4
    said = f"calhard: {tmp_path / 'gone'}: no such folder; name the --out of the audits\n"
    assert ended.err == said
