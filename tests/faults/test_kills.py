"""FAULT 22 at moments that nobody chose: an audit is killed again and again until it is through.

tests/engines/ray does the same on Ray, `benchmarks.kills` on both and a hundred times over.
"""

import pytest

from benchmarks.killing import Audit, Killer, write_history
from calhard.errors import NightInProgress
from calhard.store import list_nights, open_night
from calhard.store.layout import Layout
from calhard.store.writer import NightWriter
from tests.faults import fleets
from tests.faults.breaking import tree
from tests.faults.fleets import NIGHT, audit, contents

SEED = 7


@pytest.mark.slow
def test_an_audit_that_is_killed_at_random_moments_loses_doubles_and_leaves_nothing(tmp_path):
    rows = write_history(tmp_path / "history", models=8, classes=2, models_per_shard=2)
    killer = Killer(Audit(tmp_path / "history", rows, ("--workers", "2")), tmp_path, SEED)
    outcome = killer.kill(8)
    assert (outcome.kills, outcome.nights >= 1) == (8, True)
    assert outcome.is_sound, (SEED, outcome)


class Killed(BaseException):
    """The process has died; nothing catches it."""


def die(folders):
    raise Killed


@pytest.fixture
def left(tmp_path):
    """A night whose writer died when it had just put it in its place; its history, its folder."""
    history, out = fleets.write_history(tmp_path / "history"), tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:

        def tell(stage, done, total, rows):
            if stage == "series":
                patch.setattr("calhard.store.writer.sweep", die)

        with pytest.raises(Killed):
            audit(history, out, progress=tell)
    assert list_nights(out) == [NIGHT]
    assert Layout(out, NIGHT).scratch.exists()
    return history, out


def unpublished(out):
    return [name for name in tree(out) if name.startswith(".staging/")]


def test_what_a_run_left_that_died_when_its_night_was_there_is_swept_by_the_next(left):
    history, out = left
    before = contents(out)
    report = audit(history, out)
    assert (report.fresh, report.exit_code) == (False, 0)
    assert list((out / ".staging").iterdir()) == []
    assert contents(out) == before


def test_nothing_is_swept_while_a_revision_is_written(left):
    history, out = left
    there = []

    def look(stage, done, total, rows):
        there.append(unpublished(out))
        assert not audit(history, out).fresh
        assert unpublished(out) == there[-1]

    audit(history, out, force=True, progress=look)
    assert all(there)
    assert open_night(out).revision == 2
    assert unpublished(out) == []


def test_where_the_disk_refuses_to_be_swept_a_published_night_is_told_all_the_same(
    left, monkeypatch
):
    history, out = left

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("calhard.store.disk.remove_tree", refuse)
    assert audit(history, out).exit_code == 0
    assert unpublished(out)


def test_a_night_that_another_writes_is_not_swept(left):
    _, out = left
    with NightWriter(out, NIGHT, force=True) as writer:
        writer.sweep()
        assert unpublished(out)
        with pytest.raises(NightInProgress), NightWriter(out, NIGHT, force=True):
            pass
