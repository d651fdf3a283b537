"""Progress on stderr: a bar on a terminal, a line every few seconds in a log, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from calhard.engines import Progress as Tell

LOG_SECONDS = 5.0
AUDIT = {
    "assess": "reading and assessing",
    "judge": "judging",
    "decide": "deciding",
    "series": "keeping series",
}
MEASURE = {"scatter": "reading", "measure": "measuring", "merge": "writing"}
FETCH = {"fetch": "fetching"}
PREPARE = {"sample": "sampling", "scatter": "reading", "write": "writing"}
"""What stages are called, in their order."""
RESUME = "resume"
"""No stage: told once, where an earlier run is gone on with."""


@contextmanager
def progress(
    *, quiet: bool, stages: Mapping[str, str] = AUDIT, unit: str = "shards"
) -> Iterator[Tell | None]:
    """Give a callable that shows how far a job is; None where nothing is to be shown."""
    if quiet or sys.stderr is None:  # a closed stderr
        yield None
    elif sys.stderr.isatty():
        with _bar(stages, unit) as bar:
            yield bar
    else:
        yield _log(stages, unit)


@contextmanager
def _bar(stages: Mapping[str, str], unit: str) -> Iterator[Tell]:
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "  {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks = {name: shown.add_task(text, total=None, rows=0) for name, text in stages.items()}

        def tell(stage: str, done: int, total: int, rows: int) -> None:
            if stage == RESUME:
                shown.console.print(f"resuming: {done} of {total} {unit} done", highlight=False)
                return
            shown.update(tasks[stage], completed=done, total=total, rows=rows)

        yield tell


def _log(stages: Mapping[str, str], unit: str) -> Tell:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger = structlog.get_logger()
    last = 0.0

    def tell(stage: str, done: int, total: int, rows: int) -> None:
        nonlocal last
        if stage == RESUME:
            logger.info("resuming", **{unit: done, "of": total})
            return
        now = time.monotonic()
        if now - last >= LOG_SECONDS or done == total:
            last = now
            logger.info(stages[stage], **{unit: done, "of": total, "rows": rows})

    return tell
