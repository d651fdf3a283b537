"""Runs that were begun and left: nobody finds them running for ever."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.label import ABANDONED, BEGAN, COMPLETE, KEY, REVISION, STATE, WRITING

if TYPE_CHECKING:
    from mlflow.entities import Run

STALE = timedelta(days=1)
MOST = 20
"""Runs that one sweep looks at; the next one goes on."""
WHY = "calhard.abandoned"
_KEY = re.compile("[0-9a-f]{64}")


def sweep(server: Server, experiment: str, now: datetime | None = None) -> list[str]:
    """End our own runs that were begun more than a day ago; return their ids.

    One whose night is complete elsewhere is deleted. Another one fails and says so; whoever sends
    the night again goes on with it.
    """
    running = f"attributes.status = 'RUNNING' and tags.`{STATE}` = '{WRITING}'"
    found = server.client.search_runs(
        [experiment], running, max_results=MOST, order_by=["attributes.start_time ASC"]
    )
    moment = now or datetime.now(UTC)
    stale = [run for run in found if _is_stale(run, moment)]
    return [run.info.run_id for run in stale if _is_ended(server, experiment, run)]


def _is_stale(run: Run, now: datetime) -> bool:
    """Whether it is a run of ours, as far as its tags are what we write, and old."""
    tags = run.data.tags
    if not (_KEY.fullmatch(tags.get(KEY, "")) and tags.get(REVISION, "").isdecimal()):
        return False
    try:
        return now - datetime.fromisoformat(tags.get(BEGAN, "")) > STALE
    except (ValueError, TypeError):  # not written by us
        return False


def _is_ended(server: Server, experiment: str, run: Run) -> bool:
    """Whether a run is ended now; one that may not be is left, and keeps no other one waiting."""
    try:
        _end(server, experiment, run)
    except MlflowFailed:
        if server.is_lost:
            raise
        return False
    return True


def _end(server: Server, experiment: str, run: Run) -> None:
    tags, run_id = run.data.tags, run.info.run_id
    same = " and ".join(
        f"tags.`{name}` = '{value}'"
        for name, value in ((KEY, tags.get(KEY)), (REVISION, tags.get(REVISION)))
    )
    done = f"{same} and tags.`{STATE}` = '{COMPLETE}'"
    if server.client.search_runs([experiment], done, max_results=1):
        server.client.delete_run(run_id)
        return
    why = f"nobody went on with this run since {tags[BEGAN]}; calhard publish OUT sends the night"
    server.client.set_tag(run_id, WHY, why)
    server.client.set_tag(run_id, STATE, ABANDONED)
    server.client.set_terminated(run_id, "FAILED")
