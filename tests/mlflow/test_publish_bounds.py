"""What one server, one night, one run or one folder does wrong holds up nothing else."""

from datetime import timedelta

import pytest

from calhard.cli.main import cli
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.label import BEGAN, KEY, REVISION, STATE
from calhard.sinks.mlflow.sweep import sweep
from tests.mlflow import made
from tests.mlflow.gate import DRIP, answer, gate
from tests.mlflow.nights import complete, publishing, runs_of, slight

OLD = "2026-01-01T00:00:00+00:00"
NOTHING = answer(200, '{"files": []}')


def hasty(uri):
    return Mlflow(uri=uri, retries=0, timeout_seconds=0.5)


def test_a_server_that_answers_by_the_letter_is_given_up_by_whoever_sets_no_bound():
    with gate() as (uri, counter):
        counter.how = lambda number, request: DRIP
        with pytest.raises(MlflowFailed, match="does not answer in time"):
            connect(hasty(uri))


def test_an_upload_that_is_answered_by_the_letter_is_given_up(server):
    with gate(server.uri) as (uri, counter):
        found = connect(hasty(uri))
        counter.fault("PUT ", DRIP, times=99)
        with pytest.raises(MlflowFailed, match=r"log_artifact: does not answer in time"):
            publishing(found, slight(), "dripping").publish()


def test_a_damaged_night_and_one_that_lacks_something_keep_no_later_night_waiting(
    server, settings, tmp_path, capsys
):
    days = [made.LAST - timedelta(days=k) for k in (2, 1, 0)]
    for day in days:
        told = made.about("damaged", day)
        if day == days[1]:
            del told["timings"]
        made.publish(tmp_path, None, told)
    (tmp_path / "nights" / f"night={days[0]}" / "manifest.json").write_bytes(b"")
    args = ["publish", str(tmp_path), "--pending", "--mlflow-uri", server.uri]
    assert cli.main(args=args) == 3
    told = capsys.readouterr()
    assert [line.split()[2] for line in told.err.splitlines()] == [f"{day}:" for day in days[:2]]
    assert told.out.startswith(f"night {days[2]} is in MLflow")
    assert len(complete(runs_of(connect(settings).client, "damaged"))) == 1


def test_a_folder_that_the_server_does_not_see_is_not_written_though_its_port_is_here(
    server, settings, tmp_path
):
    folder = tmp_path / "theirs" / "artifacts"
    client = connect(settings).client
    client.create_experiment("calhard/forwarded", folder.as_uri())
    with gate(server.uri) as (uri, counter):
        counter.fault("artifacts/list", NOTHING, times=99)
        with pytest.raises(MlflowFailed, match="belong into a folder of the server"):
            publishing(connect(hasty(uri)), slight(), "forwarded").publish()
    assert list(tmp_path.iterdir()) == []
    assert runs_of(client, "forwarded") == []
    sent = publishing(connect(settings), slight(), "forwarded").publish()
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["one.txt"]
    assert sent.is_fresh


def test_artifacts_in_a_folder_are_read_back_by_the_server(server, settings, tmp_path):
    connect(settings).client.create_experiment("calhard/unseen", tmp_path.as_uri())
    asked = []

    def empty_later(number, request):
        if "artifacts/list" not in request:
            return None
        asked.append(request)
        return None if len(asked) == 1 else NOTHING

    with gate(server.uri) as (uri, counter):
        found = connect(hasty(uri))
        counter.how = empty_later
        with pytest.raises(MlflowFailed, match=r"does not hold what was sent \(artifact one.txt"):
            publishing(found, slight(), "unseen").publish()


def test_a_database_whose_experiment_a_server_made_is_refused_and_no_run_is_left(server, settings):
    there = connect(settings).client
    there.create_experiment("calhard/direct")
    direct = connect(Mlflow(uri=f"sqlite:///{server.folder / 'mlflow.db'}"))
    with pytest.raises(MlflowFailed, match="go through the server that made it"):
        publishing(direct, slight(), "direct").publish()
    assert runs_of(there, "direct") == []


def test_a_run_that_may_not_be_ended_or_has_a_strange_key_keeps_no_other_one_running(
    server, settings
):
    client = connect(settings).client
    experiment = client.create_experiment("calhard/unswept")

    def left(key, state, start):
        tags = {KEY: key, REVISION: "1", STATE: state, BEGAN: OLD}
        return client.create_run(experiment, start, tags).info.run_id

    left("x'y", "writing", 1)
    left("a" * 64, "complete", 2)
    left("a" * 64, "writing", 3)
    last = left("b" * 64, "writing", 4)
    denied = answer(403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}')
    with gate(server.uri) as (uri, counter):
        counter.fault("runs/delete", denied, times=99)
        assert sweep(connect(settings, uri=uri), experiment) == [last]
    assert client.get_run(last).data.tags[STATE] == "abandoned"
