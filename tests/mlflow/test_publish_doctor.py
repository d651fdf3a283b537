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
