"""What is asked of an MLflow server: experiments, pages of runs, histories of a metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.errors import FOREIGN, MISSING, MlflowFailed
from calhard.sources.pages import Pages, Refused

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
RUNS_AT_ONCE = 100
"""Runs of which the server gives the history of one metric in one answer."""
POINTS_AT_ONCE = 25_000
"""Values that it gives in one answer; of more it says nothing."""
FIRST_PAGE, LARGEST_PAGE, GROWTH = 1, 500, 10
"""Runs on a page: how much one holds is seen before many are asked for."""
VALUES_A_PAGE = 20_000
"""Metrics, params and tags that are asked for at a time: pages are smaller where runs hold much."""
ORDER = ["attributes.start_time DESC", "attributes.run_id ASC"]
"""The newest runs first: what is logged meanwhile moves others back, where they are met again."""
POINT = np.dtype([("ms", np.int64), ("step", np.int64), ("value", np.float64)])
INFINITE = np.finfo(np.float64).max
"""What MLflow makes of an infinite value."""


class TooMany(Exception):
    """The histories of so many runs do not fit in one answer; fewer are asked for then."""


@dataclass(frozen=True, slots=True)
class Points:
    """A metric's values: milliseconds since 1970, steps and values, shape (N,) each."""

    ms: NDArray[np.int64]
    step: NDArray[np.int64]
    value: NDArray[np.float64]

    @classmethod
    def of(cls, ms: Any, step: Any, value: Any) -> Points:
        """Return points of sequences; infinite values are infinite again."""
        values = np.array(value, np.float64)
        values = np.where(np.abs(values) >= INFINITE, np.copysign(np.inf, values), values)
        return cls(np.array(ms, np.int64), np.array(step, np.int64), values)


@dataclass(slots=True)
class Asked:
    """A server, and how often it was asked."""

    server: Server
    requests: int = 0
    has_bulk: bool = True

    def _call(self, doing: str, act: Callable[[], Any]) -> Any:
        """Ask; what fails is the input's fault.

        Raises
        ------
        InputError
            As `MlflowFailed`; nothing was read.
        """
        self.requests += 1
        try:
            return self.server.call(doing, act)
        except MlflowFailed as e:
            raise Refused(str(e), e.code) from e

    @property
    def _client(self) -> Any:
        return self.server._client  # `Server.client` would count, and try, twice

    @property
    def _store(self) -> Any:
        return self._client._tracking_client.store  # no public call gives a page of a history

    def experiment(self, name: str) -> Experiment | None:
        """Return the experiment of a name, or of an id; None where there is none."""
        found = self._call("find the experiment", lambda: self._client.get_experiment_by_name(name))
        if found is not None or not name.isdigit():
            return found  # type: ignore[no-any-return]  # MLflow's client is typed, `call` is not
        try:
            told = self._call("find the experiment", lambda: self._client.get_experiment(name))
        except Refused as e:
            if e.code == MISSING:
                return None
            raise
        return told  # type: ignore[no-any-return]

    def experiment_names(self, most: int = 10_000) -> list[str]:
        """Return the names of experiments that are not deleted."""
        found = self._all(
            "list experiments",
            lambda token: self._client.search_experiments(max_results=1_000, page_token=token),
        )
        return [str(experiment.name) for experiment in islice(found, most)]

    def pages(self, experiment_id: str, chosen: str | None) -> Iterator[tuple[list[Run], bool]]:
        """Yield an experiment's runs, the newest first, and whether more follow; none twice.

        Running ones are among them, deleted ones are not.
        """
        token: str | None = None
        size, seen = FIRST_PAGE, set[str]()
        turned = Pages("search runs", self.server.shown)
        while True:
            page = self._page(experiment_id, chosen, size, token)
            fresh = [run for run in page if run.info.run_id not in seen]
            seen.update(run.info.run_id for run in fresh)
            yield fresh, bool(page.token)
            token = turned.next(page.token)
            if token is None:
                return
            most = max((_held(run) for run in page), default=0)
            size = max(1, min(LARGEST_PAGE, GROWTH * size, VALUES_A_PAGE // max(most, 1)))

    def _page(self, experiment_id: str, chosen: str | None, size: int, token: str | None) -> Any:
        def act() -> Any:
            return self._client.search_runs(
                [experiment_id], chosen or "", max_results=size, order_by=ORDER, page_token=token
            )

        return self._call("search runs", act)

    def model_versions(self, chosen: str) -> Iterator[Any]:
        """Yield versions of registered models."""
        yield from self._all(
            "search model versions",
            lambda token: self._client.search_model_versions(
                chosen, max_results=1_000, page_token=token
            ),
        )

    def logged_models(self, experiment_id: str) -> Iterator[Any]:
        """Yield the models that runs of an experiment logged."""
        yield from self._all(
            "search logged models",
            lambda token: self._client.search_logged_models(
                [experiment_id], max_results=100, page_token=token
            ),
        )

    def _all(self, doing: str, page_of: Callable[[str | None], Any]) -> Iterator[Any]:
        """Yield what stands on all pages."""
        token: str | None = None
        turned = Pages(doing, self.server.shown)
        while True:
            page = self._call(doing, partial(page_of, token))
            yield from page
            token = turned.next(page.token)
            if token is None:
                return

    def histories(self, run_ids: Sequence[str], key: str) -> Mapping[str, Points]:
        """Return all values of a metric in some runs, by run.

        Raises
        ------
        TooMany
            They do not fit in one answer; ask for fewer runs, one is always answered.
        """
        rows = self._bulk(run_ids, key) if self.has_bulk else None
        if rows is not None:
            return _by_run(rows)
        return {run_id: self._paged(run_id, key) for run_id in run_ids}

    def _bulk(self, run_ids: Sequence[str], key: str) -> list[Mapping[str, Any]] | None:
        """Return some runs' values in one answer; None where they are to be asked for otherwise."""
        act = self._from_server if self.server.is_web else self._from_database
        try:
            rows = self._call("read metric histories", lambda: act(run_ids, key))
        except Refused as e:
            if e.code in {MISSING, FOREIGN, "HTTP 405"}:
                self.has_bulk = False  # a gateway before the server lets through the rest alone
                return None
            raise
        if len(rows) < POINTS_AT_ONCE:
            return list(rows)
        if len(run_ids) > 1:
            raise TooMany
        return None

    def _from_server(self, run_ids: Sequence[str], key: str) -> list[Mapping[str, Any]]:
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        asked = [*(("run_id", run_id) for run_id in run_ids), ("metric_key", key)]
        creds = self._store.get_host_creds()
        answer = http_request(creds, BULK, "GET", params=asked)  # type: ignore[no-untyped-call]  # as MLflow has it
        verify_rest_response(answer, BULK)
        return list(answer.json()["metrics"])

    def _from_database(self, run_ids: Sequence[str], key: str) -> list[Mapping[str, Any]]:
        found = self._store.get_metric_history_bulk(list(run_ids), key, POINTS_AT_ONCE)
        return [metric.to_dict() for metric in found]

    def _paged(self, run_id: str, key: str) -> Points:
        """Return one run's values, page by page."""
        found = self._all(
            "read a metric's history",
            lambda token: self._store.get_metric_history(
                run_id, key, max_results=POINTS_AT_ONCE, page_token=token
            ),
        )
        told = np.fromiter(((m.timestamp, m.step, m.value) for m in found), POINT)
        return Points.of(told["ms"], told["step"], told["value"])


def _held(run: Run) -> int:
    """How much a run holds beside what every run does."""
    return len(run.data.metrics) + len(run.data.params) + len(run.data.tags)


def _by_run(rows: Sequence[Mapping[str, Any]]) -> dict[str, Points]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["run_id"], []).append(row)
    return {
        run_id: Points.of(
            [m["timestamp"] for m in own], [m["step"] for m in own], [m["value"] for m in own]
        )
        for run_id, own in found.items()
    }
