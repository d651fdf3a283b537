"""A server that is down, slow, foreign or in the way: the night stays, and a person is told."""

import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests

from calhard.cli.main import cli
from calhard.errors import ConfigError
from calhard.plan.publishing import Mlflow
from calhard.plan.secret import Secret
from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.experiment import experiment_of
from calhard.sinks.mlflow.identity import Identity, asking, signed
from calhard.sinks.mlflow.label import BEGAN, STATE
from calhard.sinks.mlflow.sweep import sweep
from calhard.store import list_nights
from tests.mlflow.gate import DOWN, DRIP, HANG, LOST, answer, gate
from tests.mlflow.nights import (
    NIGHT,
    audited,
    complete,
    history,
    publishing,
    runs_of,
    slight,
    whole,
)

PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"
UNHEARD = socket.socket()
UNHEARD.bind(("127.0.0.1", 0))  # and nobody listens
NOWHERE = f"http://127.0.0.1:{UNHEARD.getsockname()[1]}"
FAULTS = {
    "cut": (DOWN, "no MLflow server answers there; start it"),
    "hangs": (HANG, "does not answer in time"),
    "401": (answer(401, PAGE, "text/html"), r"refuses who asks \(401\); set .* username"),
    "403": (answer(403, '{"error_code": "PERMISSION_DENIED"}'), "the account may not do this"),
    "host": (answer(403, "Invalid Host header - possible DNS rebinding"), "--allowed-hosts"),
    "page": (answer(200, PAGE, "text/html"), "no MLflow server, or a log-in page is before it"),
    "empty": (answer(200, ""), "no MLflow server, or a log-in page is before it"),
    "fails": (answer(500, "oh"), "the server fails; look at its log"),
    "old": (answer(200, "2.9.2", "text/plain"), r"version 2\.9\.2 is too old; calhard needs 3\.12"),
    "404": (answer(404, "nothing"), "no MLflow server, or a log-in page is before it"),
}


def once(uri, **more):
    return Mlflow(uri=uri, retries=0, timeout_seconds=1.0, **more)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_server_does_wrong_is_told_with_its_address_and_a_remedy(fault):
    how, told = FAULTS[fault]
    with gate() as (uri, counter):
        counter.how = lambda number, request: how
        with pytest.raises(MlflowFailed, match=told) as raised:
            connect(once(uri))
        assert str(raised.value).startswith(f"MLflow at {uri}: ")


def test_a_server_that_answers_by_the_letter_is_given_up():
    with gate() as (uri, counter):
        counter.how = lambda number, request: DRIP
        with pytest.raises(MlflowFailed, match="does not answer in time"):
            connect(Mlflow(uri=uri), seconds=0.5)


@pytest.mark.parametrize(
    ("which", "how"),
    [
        ("runs/log-batch", answer(503, "busy")),
        ("runs/log-batch", LOST),
        ("mlflow-artifacts", answer(500, "disk")),
        ("runs/search", DOWN),
        ("runs/update", LOST),
        ("runs/set-tag", LOST),
    ],
)
def test_what_fails_once_is_tried_again_and_nothing_is_doubled(settings, server, which, how):
    name = f"once-{which}-{how[0]}".replace("/", "-")
    content = slight()
    with gate(server.uri) as (uri, counter):
        found = connect(settings.model_copy(update={"retries": 1}), uri=uri)
        counter.fault(which, how)
        publishing(found, content, name).publish()
    client = connect(settings).client
    (run,) = complete(runs_of(client, name))
    whole(client, run, content)


def test_a_failure_in_the_middle_leaves_a_run_that_the_next_one_goes_on_with(settings, server):
    content = slight()
    client = connect(settings).client
    with gate(server.uri) as (uri, counter):
        found = connect(once(uri))
        counter.fault("PUT ", answer(507, "no room left"), times=99)
        made = publishing(found, content, "middle")
        with pytest.raises(MlflowFailed, match="log_artifact"):
            made.publish()
        (half,) = runs_of(client, "middle")
        assert half.data.tags[STATE] == "writing"
        counter.open()
        assert made.publish().run_id == half.info.run_id
    whole(client, *complete(runs_of(client, "middle")), content)


def test_an_artifact_that_the_store_cuts_short_is_found_when_it_is_read_back(settings, server):
    content = slight()
    with gate(server.uri) as (uri, counter):
        found = connect(once(uri))
        counter.fault("one.txt", answer(200, "{}"))  # it says yes, and keeps nothing
        made = publishing(found, content, "short")
        with pytest.raises(MlflowFailed, match=r"does not hold what was sent \(artifact one.txt"):
            made.publish()
    client = connect(settings).client
    assert complete(runs_of(client, "short")) == []


@pytest.mark.parametrize("uri", [NOWHERE, "http://no-such-host.invalid:5000"])
def test_an_audit_ends_as_it_would_and_says_how_to_send_the_night_later(tmp_path, capsys, uri):
    config = tmp_path / "the calhard.toml"
    config.write_text(f'[calibration.hardening.mlflow]\nretries = 0\nuri = "{uri}"\n')
    out = tmp_path / "the nights"
    args = ["audit", str(history()), "--out", str(out), "--quiet"]
    assert cli.main(args=[*args, "--config", str(config)]) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith(
        f"calhard: night {NIGHT} is published, but not in MLflow: MLflow at {uri}"
    )
    again = f"calhard publish '{out}' --pending --config '{config}'"
    assert line.endswith(f"send it later: {again}")
    assert list_nights(out) == [NIGHT]


def test_nights_that_cannot_be_sent_are_left_and_the_code_says_so(server, tmp_path, capsys):
    args = ["publish", str(tmp_path), "--pending"]
    for day in (30, 31):
        midnight = 1_780_272_000 - 86_400 * (31 - day)
        audited(tmp_path, "left", as_of_us=midnight * 1_000_000)
    with gate(server.uri) as (uri, counter):
        config = tmp_path / "calhard.toml"
        config.write_text("[calibration.hardening.mlflow]\nretries = 0\n")
        here = ["--mlflow-uri", uri, "--config", str(config)]
        counter.fault("experiments/get-by-name", answer(500, "no"), times=99)
        assert cli.main(args=[*args, *here]) == 4
        assert capsys.readouterr().err.count("the server fails") == 2
        counter.fault("runs/create", answer(500, "no"))
        assert cli.main(args=[*args, *here]) == 3
        told = capsys.readouterr()
        assert "night 2026-05-30: MLflow at" in told.err
        assert told.out.startswith("night 2026-05-31 is in MLflow")
        assert cli.main(args=[*args, *here]) == 0


def test_publish_without_a_server_or_without_nights_ends_with_2_or_4_and_says_why(tmp_path, capsys):
    assert cli.main(args=["publish", str(tmp_path), "--mlflow-uri", NOWHERE]) == 4
    assert "no night is published there" in capsys.readouterr().err
    audited(tmp_path, "nowhere")
    assert cli.main(args=["publish", str(tmp_path)]) == 2
    assert "no MLflow server is named; give --mlflow-uri" in capsys.readouterr().err


@pytest.mark.parametrize("uri", ["file:///srv/mlruns", "mlruns", "ftp://x/y", "databricks"])
def test_an_address_that_is_none_ends_with_2_before_anything_is_done(tmp_path, capsys, uri):
    args = ["audit", str(history()), "--out", str(tmp_path / "out"), "--mlflow-uri", uri]
    assert cli.main(args=args) == 2
    assert "write http://HOST:PORT, https://HOST or sqlite:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_credentials_go_with_the_requests_and_into_no_message(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "else-where")
    monkeypatch.setenv("THE_TOKEN", "t0ken")
    asked = []
    with gate() as (uri, counter):
        host = uri.removeprefix("http://")
        named = {
            "pa:ss": Mlflow(uri=uri, retries=0, username="anna", password="pa:ss"),
            "pa%3Ass": Mlflow(uri=f"http://anna:pa%3Ass@{host}", retries=0),
            "t0ken": Mlflow(uri=uri, retries=0, token=Secret("${env:THE_TOKEN}")),
            "else-where": Mlflow(uri=uri, retries=0),
        }
        counter.head = lambda head: asked.append(head["Authorization"])
        for secret, settings in named.items():
            told = f'{{"error_code": "INVALID_STATE", "message": "found {secret} here"}}'
            counter.how = lambda number, request, told=told: answer(400, told)
            with pytest.raises(MlflowFailed) as raised:
                connect(settings)
            assert "found" in str(raised.value)
            assert (secret in str(raised.value)) == (secret == "pa%3Ass")
    basic = "Basic YW5uYTpwYTpzcw=="
    assert asked == [basic, basic, "Bearer t0ken", "Basic c29tZWJvZHk6ZWxzZS13aGVyZQ=="]


def test_credentials_go_to_no_other_server_that_the_server_names():
    who = Identity("anna", "pa:ss")
    own, other = (requests.Request("GET", f"http://{host}:5000/x").prepare() for host in "ab")
    other.headers["Authorization"] = "Basic of MLflow's own variables"
    with asking(who, "http://a:5000/prefix"):
        assert signed(own).headers["Authorization"].startswith("Basic ")
        assert "Authorization" not in signed(other).headers


def test_no_folder_of_this_machine_is_written_because_a_server_elsewhere_names_it(
    settings, tmp_path
):
    server = connect(settings)
    server.client.create_experiment("calhard/folder", tmp_path.as_uri())
    server.uri = "http://mlflow.example:5000"  # as if it were another machine's
    with pytest.raises(MlflowFailed, match="belong into a folder of the server"):
        publishing(server, slight(), "folder").publish()
    assert list(tmp_path.iterdir()) == []


def test_half_a_log_in_is_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="username and password go together"):
        connect(Mlflow(uri=NOWHERE, username="anna"))


def test_failures_cost_a_minute_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with gate() as (uri, counter):
        counter.how = lambda number, request: answer(200, "3.17.0", "text/plain")
        server = connect(Mlflow(uri=uri, retries=10))
    tries = []

    def hangs():
        tries.append(now[0])
        now[0] += 15.0
        raise TimeoutError

    for _ in range(3):
        with pytest.raises(MlflowFailed):
            server.call("asked", hangs)
    assert len(tries) == 4 + 2, "once given up, nothing is tried again"
    assert tries[3] + 15.0 < 65.0
    assert server.is_lost


def test_stale_runs_of_ours_are_ended_and_others_are_left(settings):
    server = connect(settings)
    experiment = experiment_of(server, "calhard/stale")
    content = slight()
    made = publishing(server, content, "stale")
    left = made.begin([]).info.run_id
    foreign = server.client.create_run(experiment).info.run_id
    assert sweep(server, experiment) == []
    later = datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert sweep(server, experiment, later) == [left]
    run = server.client.get_run(left)
    assert (run.info.status, run.data.tags[STATE]) == ("FAILED", "abandoned")
    assert server.client.get_run(foreign).info.status == "RUNNING"
    assert made.publish().run_id == left, "it is gone on with all the same"
    whole(server.client, server.client.get_run(left), content)
    half = server.client.create_run(
        experiment, tags={**made.runs.label.tags, STATE: "writing", BEGAN: "2026-01-01T00:00:00Z"}
    )
    assert sweep(server, experiment) == [half.info.run_id]
    assert server.client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"
