"""What teams log to a real MLflow server becomes rows."""

import math
import threading
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow.parquet as pq
import pytest

from calhard.history import History
from calhard.history.check import check_history
from calhard.sources import asked as asking
from calhard.sources import fetched
from tests.sources.teams import DAY, END, START, daily

AT = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp() * 1e6)


def test_a_run_for_every_evaluation_is_a_row_for_every_class(team):
    for day in range(4):
        at = START + day * DAY
        values = [("aece/a", 0.1 + day), ("aece/b", 0.2), ("dece/a", 0.3), ("total_samples/a", 50)]
        points = [(key, value, at + 700 * i, 0) for i, (key, value) in enumerate(values)]
        tags = {"model_id": "churn", "model_version": f"v{day}", "team": "x"}
        team.run([*points, ("loss", 9, at, 0)], tags=tags, start=at - 5_000)
    rows = team.rows(team.plan(tags=["team"]))
    assert [row[:3] for row in rows] == [
        *(("churn", "a", START + day * DAY) for day in range(4)),
        *(("churn", "b", START + day * DAY + 700) for day in range(4)),
    ]
    told = {"aece": 1.1, "dece": 0.3, "total_samples": 50.0, "model_version": "v1", "team": "x"}
    assert rows[1][3] == told


def test_a_long_run_with_steps_gives_a_row_for_every_step(team):
    points = [
        *daily("val/ece", [0.01, 0.02, 0.03]),
        *daily("val/ece.class_3", [0.04, 0.05, 0.06], offset=20),
        *daily("n", [7, 8, 9], offset=9_000),
    ]
    team.run(points, tags={"model_id": "m"}, ended=False)
    keys = {"aece": ["val/ece", "val/ece.class_{class_id}"]}
    rows = team.rows(team.plan(metrics=keys, total_samples="metric:n"))
    assert [(c, v) for _, c, _, v in rows] == [
        ("3", {"aece": 0.04}),
        ("3", {"aece": 0.05}),
        ("3", {"aece": 0.06}),
        ("__all__", {"aece": 0.01, "total_samples": 7.0}),
        ("__all__", {"aece": 0.02, "total_samples": 8.0}),
        ("__all__", {"aece": 0.03, "total_samples": 9.0}),
    ]


def test_model_class_and_labels_may_stand_in_params(team):
    team.run(daily("aece", [0.5]), params={"model_id": "m", "class_id": "c", "total_samples": "12"})
    team.run(daily("aece", [0.6], offset=5), params={"model_id": "m", "total_samples": "many"})
    first, second = team.rows()
    assert first[:2] == ("m", "__all__")
    assert math.isnan(first[3]["total_samples"])
    assert second[1] == "c"
    assert second[3] == {"aece": 0.5, "total_samples": 12.0}


def test_values_that_are_no_numbers_arrive_as_such_and_make_no_verdict(team):
    values = [0.02, math.inf, -math.inf, math.nan]
    team.run(daily("aece", values), tags={"model_id": "m"})
    found = team.table()["aece"].to_pylist()
    assert found[:3] == values[:3]
    assert math.isnan(found[3])
    with fetched(team.source, team.plan()) as source:
        check = check_history(source, team.plan(), as_of_us=AT)
    assert check.bad_values == {"aece": 3}


def test_running_runs_count_and_deleted_ones_do_not(team):
    team.run(daily("aece", [0.1]), tags={"model_id": "running"}, ended=False)
    gone = team.run(daily("aece", [0.2]), tags={"model_id": "gone"})
    team.client.delete_run(gone)
    assert [row[0] for row in team.rows()] == ["running"]


def test_a_run_may_count_as_one_moment_that_of_its_start(team):
    team.run(daily("aece", [0.1, 0.2, 0.3]), tags={"model_id": "m"}, start=START - DAY)
    rows = team.rows(team.plan(timestamp="run"))
    assert rows == [("m", "__all__", START - DAY, {"aece": 0.3})]


def test_a_filter_chooses_runs(team):
    for stage in ("prod", "dev"):
        team.run(daily("aece", [0.1]), tags={"model_id": stage, "stage": stage})
    assert [row[0] for row in team.rows(team.plan(filter="tags.stage = 'prod'"))] == ["prod"]


def test_the_model_is_what_the_first_place_tells(team):
    name = "first-place"
    team.client.create_registered_model(name)
    registered = team.run(daily("aece", [0.1]), name="bold-ant-123")
    where = team.client.get_run(registered).info.artifact_uri
    team.client.create_model_version(name, f"{where}/model", run_id=registered)
    logged = team.run(daily("aece", [0.2]), name="x")
    model = team.client.create_logged_model(team.id, name="logged", source_run_id=logged)
    from mlflow.entities import LoggedModelOutput

    team.client.log_outputs(logged, [LoggedModelOutput(model.model_id, 0)])
    team.run(daily("aece", [0.3]), name="its-name", tags={"model": "not this"})
    team.run(daily("aece", [0.4]), name="its-name", tags={"model_name": "tagged"})
    team.run(daily("aece", [0.5]), name="bold-ant-124")
    rows = team.rows()
    assert {row[0]: row[3]["aece"] for row in rows} == {
        "first-place": 0.1, "logged": 0.2, "its-name": 0.3, "tagged": 0.4,
    }  # fmt: skip
    assert {row[0] for row in team.rows(team.plan(model_id="tag:model"))} == {"not this"}


def test_runs_that_give_no_rows_are_counted_by_reason(team):
    team.run(daily("aece", [0.1] * 3), tags={"model_id": "m"})
    nameless = team.run(daily("aece", [0.1]), name="bold-ant-123")
    lossy = [team.run(daily("loss", [0.1]), tags={"model_id": "m"}) for _ in range(2)]
    long_ago = START - 1_200 * DAY
    old = team.run([("aece", 0.1, long_ago, 0)], tags={"model_id": "m"}, start=long_ago)
    ours = team.run(daily("aece", [0.1]), tags={"model_id": "m", "calhard.key": "k"})
    plan = team.plan()
    with fetched(team.source, plan) as source:
        assert History.open(source, plan).source == team.source
        check = check_history(source, plan)
    rows = {row["reason"]: row for row in check.coverage() if row["unit"] == "run"}
    assert {reason: (row["count"], row["example"]) for reason, row in rows.items()} == {
        "no model is named": (1, nameless),
        "logs no metric that is mapped": (2, min(lossy)),
        "its values are older than what an audit reads": (1, old),
        "published by calhard": (1, ours),
    }
    assert "model_id" in rows["no model is named"]["remedy"]
    assert not check.sound
    assert check.account.rows == 3


def test_at_a_given_moment_older_runs_are_in_reach(team):
    at = START - 1_200 * DAY
    team.run([("aece", 0.1, at, 0)], tags={"model_id": "old"}, start=at)
    team.run(daily("aece", [0.1]), tags={"model_id": "new"})
    assert {row[0] for row in team.rows()} == {"new"}
    assert {row[0] for row in team.rows(as_of_us=(at + DAY) * 1_000)} == {"new", "old"}


def test_a_value_from_the_future_does_not_hide_the_others(team):
    team.run(daily("aece", [0.1]), tags={"model_id": "m"})
    team.run([("aece", 0.1, END + 10_000 * DAY, 0)], tags={"model_id": "mad"})
    assert {row[0] for row in team.rows()} == {"m", "mad"}


def test_names_that_would_lead_elsewhere_are_but_names(team, tmp_path):
    names = ["../../etc", "=cmd()", "<b>\x1b[31m", "ä" * 300]
    for name in names:
        team.run(daily("aece", [0.1]), tags={"model_id": name})
    with fetched(team.source, team.plan(), out=tmp_path) as source:
        there = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*.parquet")]
        found = pq.read_table(source.folder)["model_id"].to_pylist()
    assert sorted(found) == sorted(names)
    assert [parts[0] for parts in there] == [".sources"]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def fleet(team):
    rng = np.random.default_rng(5)
    for model in range(7):
        points = [p for k in "ab" for p in daily(f"aece/{k}", rng.uniform(0, 1, 30))]
        points += daily("dece/a", rng.uniform(0, 1, 30), offset=3)
        team.run(points, tags={"model_id": f"m{model}"}, start=START + model)
    return team


def test_small_pages_and_answers_give_the_same_rows(fleet, monkeypatch):
    whole = fleet.table()
    assert whole.num_rows == 7 * 2 * 30
    for name, value in (("FIRST_PAGE", 3), ("LARGEST_PAGE", 3), ("POINTS_AT_ONCE", 70)):
        monkeypatch.setattr(asking, name, value)
    assert fleet.table().equals(whole)
    monkeypatch.setattr(asking, "VALUES_A_PAGE", 1)
    monkeypatch.setattr(asking, "POINTS_AT_ONCE", 7)
    assert fleet.table().equals(whole)


def test_a_database_gives_the_bytes_that_its_server_gives(fleet):
    uri = f"sqlite:///{fleet.server.folder / 'mlflow.db'}"
    found = []
    for address in (None, uri):
        with fetched(fleet.source, fleet.plan(), uri=address) as source:
            (file,) = source.folder.glob("*.parquet")
            found.append((file.name, file.read_bytes()))
    assert found[0] == found[1]
    by_id = fetched(f"mlflow:{fleet.id}", fleet.plan())
    with by_id as source:
        assert [p.name for p in source.folder.glob("*.parquet")] == [found[0][0]]
        assert source.name == fleet.source


def test_progress_tells_of_runs_and_rows_as_they_come(fleet, monkeypatch):
    monkeypatch.setattr(asking, "FIRST_PAGE", 3)
    monkeypatch.setattr(asking, "POINTS_AT_ONCE", 70)
    told = []
    with fetched(fleet.source, fleet.plan(), progress=lambda *args: told.append(args)):
        pass
    assert told == [("fetch", runs, 4 if runs < 4 else 7, runs * 60) for runs in range(1, 8)]


def test_what_is_asked_grows_with_pages_and_keys_not_with_runs(fleet):
    asked = []
    from calhard.sources.opened import _connected
    from calhard.sources.snapshot import find_experiment

    requests = asking.Asked(_connected(fleet.plan(), None))
    experiment = find_experiment(requests, fleet.name)
    for runs, _ in requests.pages(experiment.experiment_id, None):
        asked += [run.info.run_id for run in runs]
    histories = requests.histories(asked, "aece/a")
    assert requests.requests == 4  # one run first, then all others
    assert sum(len(points.ms) for points in histories.values()) == 7 * 30


@contextmanager
def gateway(uri, refused):
    """Pass requests on, but for one place that the gateway does not know."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            size = int(self.headers.get("Content-Length") or 0)
            kind = {"Content-Type": "application/json"}
            asked = urllib.request.Request(
                uri + self.path, self.rfile.read(size) or None, kind, method=self.command
            )
            if self.path.startswith(refused):
                status, body = 404, b"<html>not here</html>"
            else:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    status, body = answer.status, answer.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # http.server's name

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{served.server_port}"
        finally:
            served.shutdown()


def test_where_a_gateway_hides_what_gives_many_histories_they_are_asked_for_one_by_one(fleet):
    with gateway(fleet.server.uri, asking.BULK) as uri:
        assert fleet.table(uri=uri).equals(fleet.table())
