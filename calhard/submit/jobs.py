"""Jobs of a cluster: one submitted once, followed to its end, and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calhard.engines.on_ray.joined import check_ray
from calhard.errors import CalhardError, InProgress
from calhard.submit.dashboard import Dashboard, token

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

    from calhard.submit.order import Order

CODES = {0, 1, 2, 3, 4, 75}
"""Exit codes of an audit; a driver that ends with another one was ended by something else."""
FAILED = 4
LOOK_SECONDS = 0.2
AGAIN_SECONDS = 2.0
"""Before a log is followed again whose connection broke."""
CHATTY = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)
"""Loggers of Ray that tell what is no news."""
OF_RAY = re.compile(r"Running entrypoint for job |[-0-9:, ]+\tINFO job_manager\.py:")
"""Lines of a job's log that the job did not write; where they stand among its own is chance."""
OF_STDERR = "calhard: "
"""What a line begins with that the command says on stderr: a log holds both streams in one."""
REDIRECTIONS = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables that Ray obeys rather than the address that it is given."""


class NightRuns(InProgress):
    """The night is being audited on the cluster already."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: an audit's exit code, and what a person must know beside the log."""

    code: int
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one cluster."""

    dashboard: Dashboard
    client: JobSubmissionClient

    @classmethod
    def of(cls, dashboard: Dashboard) -> Jobs:
        """Return the jobs of a cluster that may be spoken to and runs a Ray that is safe.

        Raises
        ------
        CalhardError
            See `Dashboard.version`.
        ConfigError
            Ray is not installed here, or it or the cluster's is older than 2.54.
        """
        check_ray()
        dashboard.version()
        with _undirected():
            client = import_module("ray.job_submission").JobSubmissionClient
            for name in CHATTY:
                logging.getLogger(name).setLevel(logging.WARNING)
            return cls(dashboard, client(dashboard.address, headers=_headers()))

    def submit(self, order: Order, wheel: Path, folder: Path) -> str:
        """Submit an order; ``folder`` is packed with it. Return the job's name.

        Raises
        ------
        NightRuns
            A job of that fleet and night is at work.
        """
        name = self._free(order.submission_id)
        environment = {"working_dir": str(folder), "py_modules": [str(wheel)]}
        try:
            self.client.submit_job(
                entrypoint=order.entrypoint, submission_id=name, runtime_env=environment
            )
        except RuntimeError as e:
            if "already exists" in str(e):  # another one was faster
                raise NightRuns(self._runs(name)) from e
            raise CalhardError(f"{self.dashboard.address} refuses the job: {e}") from e
        return name

    def _free(self, name: str) -> str:
        """Return a name that was not used: Ray takes none twice, not even of a job that failed."""
        known = {job.submission_id: job for job in self.client.list_jobs()}
        tries = 1
        while (used := known.get(_numbered(name, tries))) is not None:
            if not used.status.is_terminal():
                raise NightRuns(self._runs(_numbered(name, tries)))
            tries += 1
        return _numbered(name, tries)

    def _runs(self, name: str) -> str:
        info = self._info(name)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((info.start_time or 0) / 1000))
        return (
            f"the night is being audited already by the job {name} ({info.status}, submitted "
            f"{since}):\n  {info.entrypoint}\n{self.how_to_go_on(name)}"
        )

    def how_to_go_on(self, name: str) -> str:
        """Return the commands that follow a job, and that stop it."""
        return (
            f"follow it:  ray job logs --follow --address {self.dashboard.address} {name}\n"
            f"stop it:    ray job stop --address {self.dashboard.address} {name}"
        )

    def follow(
        self, name: str, write: Callable[[str], None], aside: Callable[[str], None]
    ) -> Ended:
        """Write a job's log as it grows, line by line; return how the job ended.

        What Ray itself has put into it goes ``aside``.

        Raises
        ------
        CalhardError
            The cluster does not answer any more.
        """
        log = _Log(write, aside)
        broken = (RuntimeError, OSError, import_module("aiohttp").ClientError)
        while True:
            try:
                if not self._info(name).status.is_terminal():  # else Ray takes seconds for nothing
                    _awaited(log.follow(self.client, name))
            except broken:
                time.sleep(AGAIN_SECONDS)
                self.dashboard.version()
                if not self._info(name).status.is_terminal():
                    continue
            ended = self._ended(name)
            log.take(self.client.get_job_logs(name))  # following may miss the end
            log.close()
            return ended

    def stop(self, name: str) -> None:
        """Stop a job: its driver gets SIGTERM, and leaves a night that can be gone on with."""
        self.client.stop_job(name)
        self._end_of(name)

    def _ended(self, name: str) -> Ended:
        info = self._end_of(name)
        code = info.driver_exit_code
        if info.status == "STOPPED":
            return Ended(FAILED, f"the job {name} was stopped; submit it again, and it goes on")
        if code in CODES:
            return Ended(int(code))
        why = (info.message or f"exit code {code}").strip().splitlines()[0]
        return Ended(FAILED, f"the job {name} failed: {why}; submit it again, and it goes on")

    def _end_of(self, name: str) -> Any:
        while not (info := self._info(name)).status.is_terminal():
            time.sleep(LOOK_SECONDS)
        return info

    def _info(self, name: str) -> Any:
        try:
            return self.client.get_job_info(name)
        except RuntimeError as e:
            raise CalhardError(f"{self.dashboard.address} tells nothing of {name}: {e}") from e


class _Log:
    """What was written of a log; a connection that is made again begins at its beginning."""

    def __init__(self, write: Callable[[str], None], aside: Callable[[str], None]) -> None:
        self._write, self._aside = write, aside
        self._taken = 0
        self._line = ""
        """A line whose end did not come yet."""

    async def follow(self, client: JobSubmissionClient, name: str) -> None:
        """Write what comes until the job ends."""
        seen = 0
        async for text in client.tail_job_logs(name):
            self.take(text, seen)
            seen += len(text)

    def take(self, text: str, seen: int = 0) -> None:
        """Write what is new of a part of the log, before which so many letters stand."""
        new = text[max(self._taken - seen, 0) :]
        self._taken += len(new)
        *whole, self._line = (self._line + new).split("\n")
        for line in whole:
            self._tell(line + "\n")

    def close(self) -> None:
        """Write what is left."""
        if self._line:
            self._tell(self._line)

    def _tell(self, line: str) -> None:
        is_aside = OF_RAY.match(line) or line.startswith(OF_STDERR)
        (self._aside if is_aside else self._write)(line)


def _awaited(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def _numbered(name: str, tries: int) -> str:
    return name if tries == 1 else f"{name}-{tries}"


def _headers() -> dict[str, str]:
    known = token()
    return {} if known is None else {"Authorization": f"Bearer {known}"}


@contextmanager
def _undirected() -> Iterator[None]:
    """Keep Ray from going elsewhere than where it is sent."""
    before = {name: os.environ.pop(name) for name in REDIRECTIONS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
