"""What `calhard doctor` says of an MLflow server."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from calhard.doctor.tracking import tracking
from calhard.plan import AuditPlan
from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.experiment import experiment_of
from tests.mlflow.gate import answer, gate


def examined(uri, fleet="doctor"):
    return {found.name: found for found in tracking(AuditPlan(fleet=fleet), uri)}


def test_a_sound_server_is_ok_in_all_that_it_is_asked(server):
    found = examined(server.uri)
    assert {name: str(each.state) for name, each in found.items()} == dict.fromkeys(
        ("mlflow", "server", "experiment", "artifacts", "server clock"), "ok"
    )
    assert found["server"].told.startswith(f"{server.uri}: MLflow 3.")
    assert found["experiment"].told == "calhard/doctor is created with the first night"


def test_without_a_server_only_the_package_is_looked_at():
    assert list(examined(None)) == ["mlflow"]


def test_an_experiment_in_the_trash_is_wrong(server, settings):
    found = connect(settings)
    number = experiment_of(found, "calhard/doctored")
    found.client.delete_experiment(number)
    told = examined(server.uri, "doctored")["experiment"]
    assert (str(told.state), told.told) == ("wrong", "calhard/doctored is in the trash")
    assert f"restore -x {number}" in told.remedy


@pytest.mark.parametrize(
    ("how", "told", "remedy"),
    [
        (
            answer(401, "no"),
            "refuses who asks (401)",
            "set [calibration.hardening.mlflow] username",
        ),
        (answer(200, "2.1.0"), "version 2.1.0 is too old; calhard needs", "upgrade the server"),
        (answer(403, "Invalid Host header"), "refuses the name", "start it with --allowed-hosts"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_and_what_mends_it(how, told, remedy):
    with gate() as (uri, counter):
        counter.how = lambda number, request: how
        found = examined(uri)["server"]
    assert str(found.state) == "wrong"
    assert told in found.told
    assert found.remedy.startswith(remedy)


def test_a_clock_that_is_off_is_wrong(server):
    late = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    with gate(server.uri) as (uri, counter):
        counter.head = lambda head: None
        counter.how = lambda number, request: (
            answer(200, "3.17.0", Date=late) if "/version" in request else None
        )
        found = examined(uri)["server clock"]
    assert str(found.state) == "wrong"
    assert found.told.endswith("s behind this machine's")


def test_artifacts_are_tried_where_the_experiment_is_there_and_nothing_is_left(server, settings):
    there = connect(settings)
    number = experiment_of(there, "calhard/tried")
    with gate(server.uri) as (uri, counter):
        found = examined(uri, "tried")["artifacts"]
        assert (str(found.state), found.told) == (
            "ok",
            "go through the server, are taken and deleted",
        )
        assert counter.count("DELETE ") == 1
        counter.fault("PUT ", answer(404, "not served"), times=99)
        assert str(examined(uri, "tried")["artifacts"].state) == "wrong"
    assert not list((server.folder / "artifacts" / number).glob("*"))


def test_the_account_that_moves_aliases_is_asked_for_if_it_is_another_one(server):
    registry = {"username": "mover", "password": "pw"}
    plan = AuditPlan(fleet="doctor")
    settings = plan.mlflow.model_copy(
        update={"registry": plan.mlflow.registry.model_copy(update=registry)}
    )
    plan = plan.model_copy(update={"mlflow": settings})
    with gate(server.uri) as (uri, counter):
        counter.fault("registered-models/search", answer(401, "no"), times=99)
        found = {each.name: each for each in tracking(plan, uri)}
        assert str(found["registry"].state) == "wrong"
        counter.open()
        found = {each.name: each for each in tracking(plan, uri)}
        assert str(found["registry"].state) == "ok"
