"""What is asked for, held and waited for is bounded, whatever a server gives."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest

from calhard.errors import InputError
from calhard.plan import AuditPlan
from calhard.sources import fetched, snapshot
from calhard.sources import taken as holding
from calhard.sources.pages import Pages, Refused
from calhard.sources.parts import parts_of
from calhard.sources.rows import Owner, Values
from tests.sources.teams import daily


def test_a_page_that_leads_back_is_refused_and_another_is_not():
    pages = Pages("search runs", "http://host")
    assert [pages.next(token) for token in ("a", "b", None, "")] == ["a", "b", None, None]
    with pytest.raises(Refused, match="search runs: its pages lead back to an earlier one; look"):
        pages.next("a")


def test_keys_of_one_owner_are_one_part_and_others_are_not():
    a, b = Owner("r", "m", "a"), Owner("r", "m", "b")
    runs = [[("x/a", "x", a), ("y/a", "y", a), ("x/b", "x", b), ("z", "x", Owner("r", "m", "z"))]]
    assert parts_of(runs) == [["x/a", "y/a"], ["x/b"], ["z"]]
    assert parts_of([*runs, [("z", "x", b), ("x/b", "y", b)]]) == [["x/a", "y/a"], ["x/b", "z"]]


@pytest.fixture
def wide(team):
    """Five runs of forty classes each, of two metrics."""
    for model in range(5):
        points = [
            point
            for label in range(40)
            for metric in ("aece", "dece")
            for point in daily(f"{metric}/c{label:02}", [0.1, 0.2, 0.3 + model])
        ]
        team.run(points, tags={"model_id": f"m{model}"})
    return team


def test_no_more_values_are_held_than_the_bound_and_the_rows_are_the_same(wide, monkeypatch):
    whole, held = wide.table(), []
    assert whole.num_rows == 5 * 40 * 3
    original = Values.rows

    def counted(values, columns):
        held.append(sum(len(part[2]) for part in values._parts))
        return original(values, columns)

    monkeypatch.setattr(Values, "rows", counted)
    for module in (holding, snapshot):
        monkeypatch.setattr(module, "POINTS_HELD", 20)
    assert wide.table().equals(whole)
    assert sum(held) == 5 * 40 * 3 * 2
    assert max(held) <= 20


def test_rows_are_spooled_piece_by_piece_not_all_at_once(wide, monkeypatch):
    sizes = []
    original = snapshot.Spool.write

    def measured(spool, rows):
        sizes.append(rows.values.nbytes)
        original(spool, rows)

    monkeypatch.setattr(snapshot.Spool, "write", measured)
    for module in (holding, snapshot):
        monkeypatch.setattr(module, "POINTS_HELD", 60)
    table = wide.table()
    assert isinstance(table, pa.Table)
    assert max(sizes) * 10 < sum(sizes)


@contextmanager
def dripping():
    """Serve the version, letter by letter, until told to stop."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            try:
                while not stop.wait(0.05):
                    self.wfile.write(b"3")
            except OSError:
                pass

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{served.server_port}"
        finally:
            stop.set()
            served.shutdown()


def test_a_server_that_drips_is_given_up():
    with dripping() as uri:
        told = {"mlflow": {"uri": uri, "timeout_seconds": 0.1, "retries": 0}}
        with pytest.raises(InputError, match="MLflow at http"):  # noqa: SIM117  # what raises alone
            with fetched("mlflow:x", AuditPlan.model_validate(told)):
                pass
