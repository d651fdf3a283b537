"""A job's log comes in pieces, over connections that break, with lines of Ray's own in it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.submit.jobs import _awaited, _Log

LOG = (
    "2026-11-24 13:28:39,161\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    "begun: Running entrypoint for job\n"
    "Running entrypoint for job calhard-1: python -m calhard.cli.main audit\n"
    "calhard: night 2026-11-24 is published, but not in MLflow\n"
    "2026-11-24 is a day\n"
    "the end, without a line's end"
)
OURS = "begun: Running entrypoint for job\n2026-11-24 is a day\nthe end, without a line's end"


def logged():
    ours, rays = [], []
    return _Log(ours.append, rays.append), ours, rays


@given(st.lists(st.integers(0, len(LOG)), max_size=12), st.integers(0, len(LOG)))
def test_every_line_is_written_once_however_the_log_comes(cuts, broken):
    log, ours, rays = logged()
    for end in (broken, len(LOG)):  # the second connection begins again at the beginning
        places = sorted({0, end, *(cut for cut in cuts if cut < end)})
        for start, stop in pairwise(places):
            log.take(LOG[start:stop], start)
    log.take(LOG)
    log.close()
    assert "".join(ours) == OURS
    assert len("".join(rays)) == len(LOG) - len(OURS)


def test_a_line_is_written_as_soon_as_it_is_whole():
    log, ours, _ = logged()
    log.take("reading")
    assert ours == []
    log.take(" and assessing\njud", len("reading"))
    assert ours == ["reading and assessing\n"]


@pytest.mark.parametrize("in_a_notebook", [False, True])
def test_a_log_is_followed_also_where_a_loop_runs_already(in_a_notebook):
    done = []

    async def work():
        done.append(await asyncio.sleep(0, "ended"))

    async def cell():
        _awaited(work())

    with ThreadPoolExecutor(1) as thread:  # the suite's browser has a loop in this one
        if in_a_notebook:
            thread.submit(asyncio.run, cell()).result()
        else:
            thread.submit(_awaited, work()).result()
    assert done == ["ended"]
