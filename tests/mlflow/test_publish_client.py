"""The server as calhard speaks to it, and the process that it does it in."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from calhard.cli.demo import _browsed
from calhard.errors import ConfigError
from calhard.explanation.facts import night_plan
from calhard.plan import AuditPlan
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.address import address_of, secrets_of, shown
from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.experiment import experiment_of
from calhard.sinks.mlflow.identity import Identity, place_of
from calhard.sinks.mlflow.surroundings import CHATTY, surrounded
from tests.mlflow.gate import answer, gate
from tests.mlflow.nights import audited, audited_by

ROOT = Path(__file__).parents[2]
PASSWORD = "L1teral-pw"
ASK = "import sys; from calhard.plan.publishing import Mlflow; "
ASK += "from calhard.sinks.mlflow.client import connect; "
ASK += "print(connect(Mlflow(uri=sys.argv[1])).version)"


VERSION = answer(200, "3.17.0", "text/plain")


def told(counter):
    """Let a gate answer as a server of this version; return the authorizations it is asked with."""
    asked = []
    counter.how = lambda number, request: VERSION
    counter.head = lambda head: asked.append(head["Authorization"])
    return asked


def once(uri, **more):
    return Mlflow(uri=uri, retries=0, timeout_seconds=5.0, **more)


def test_a_server_that_answers_tells_its_version(server, settings):
    found = connect(settings)
    assert found.version.startswith("3.")
    assert found.client.get_experiment_by_name("Default").experiment_id == "0"


def test_variables_and_loggers_of_the_process_are_left_as_they_were(settings):
    connect(settings)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    before = dict(os.environ), [logging.getLogger(name).level for name in CHATTY]
    connect(settings).client.search_experiments()
    assert (dict(os.environ), [logging.getLogger(name).level for name in CHATTY]) == before


def test_variables_are_put_back_when_the_last_of_several_threads_is_done(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "of-the-host")
    seen = []

    def inner():
        with surrounded(9.0):
            seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])

    with surrounded(3.0):
        thread = Thread(target=inner)
        thread.start()
        thread.join()
        seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        assert os.environ["MLFLOW_TRACKING_AUTH"] == "calhard"
    assert seen == ["9", "3"]
    assert os.environ["MLFLOW_TRACKING_AUTH"] == "of-the-host"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_a_child_process_speaks_to_a_server_as_its_parent_does():
    with gate() as (uri, counter):
        told(counter)
        connect(once(uri))
        paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
        for inherited in ({}, {"MLFLOW_TRACKING_AUTH": "calhard"}):
            env = os.environ | {"PYTHONPATH": paths} | inherited
            done = subprocess.run(
                [sys.executable, "-c", ASK, uri],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.stdout, done.stderr) == ("3.17.0\n", "")


def test_calls_of_the_host_after_ours_keep_the_log_in_of_the_host(monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of-the-host")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with gate() as (uri, counter):
        asked = told(counter)
        connect(once(uri, token="ours"))
        counter.how = lambda number, request: answer(200, '{"experiments": []}')
        assert list(MlflowClient(tracking_uri=uri).search_experiments()) == []
    assert asked == ["Bearer ours", "Bearer of-the-host"]


def test_the_provider_that_the_host_names_is_asked_where_the_settings_name_nobody(monkeypatch):
    from mlflow.tracking.request_auth.registry import _request_auth_provider_registry as registry

    class Theirs:
        def get_name(self):
            return "of-the-host"

        def get_auth(self):
            return lambda request: (request.headers.update(Authorization="theirs"), request)[1]

    monkeypatch.setattr(registry, "_registry", [*registry._registry, Theirs()])
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "of-the-host")
    with gate() as (uri, counter):
        asked = told(counter)
        connect(once(uri))
        connect(once(uri, token="ours"))
    assert asked == ["theirs", "Bearer ours"]


def test_a_host_in_capitals_gets_its_credentials():
    with gate() as (uri, counter):
        asked = told(counter)
        connect(once(uri.replace("127.0.0.1", "LocalHost"), token="ours"))
    assert asked == ["Bearer ours"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://MLflow.example", "https://mlflow.example:443/x"),
        ("http://bücher.example:80", "http://xn--bcher-kva.example"),
        ("http://[::1]:5000", "http://[::1]:5000/api"),
    ],
)
def test_the_same_host_is_known_however_it_is_written(one, other):
    assert place_of(one) == place_of(other)
    assert place_of(one) != place_of("http://elsewhere.example")


@pytest.mark.parametrize(
    "uri",
    [
        "http://bob:pa/L1teral-pw@host:5000/x",
        "http://bob:pa#L1teral-pw@host:5000/x",
        "http://bob:pa?L1teral-pw@host:5000/x",
        "http://bob:pa@L1teral-pw@host:5000/x",
        "postgresql://u:pa/L1teral-pw@host:5000/x",
        "postgresql://u:p@host:5000/x?password=L1teral-pw",
    ],
)
def test_no_part_of_a_password_in_an_address_is_shown(uri):
    assert shown(uri) == f"{uri.partition('://')[0]}://host:5000/x"


def test_a_password_of_a_database_is_in_no_message():
    assert "p/w" in secrets_of("postgresql://u:p%2Fw@h/db")
    assert "p/w" in secrets_of("postgresql://u:p/w@h/db")
    assert "abc" in secrets_of("sqlite:///x.db?password=abc")
    assert secrets_of("sqlite:////home/a:b@c/x.db") == ()


@pytest.mark.parametrize(
    "uri",
    [
        "http://[bad",
        "http://bob:L1teral-pw@[bad",
        "http://h:port",
        "http://",
        "http:///x",
        "http://bob:pa/L1teral-pw@host",
        "postgresql://u:L1teral-pw@[bad/db",
    ],
)
def test_an_address_in_which_no_host_is_found_is_a_mistake_of_the_configuration(uri):
    with pytest.raises(ConfigError, match=r"is no address|names no host|a log-in with") as raised:
        connect(Mlflow(uri=uri))
    assert PASSWORD not in str(raised.value)


def test_a_relative_database_is_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = address_of(Mlflow(uri="sqlite:///mlflow.db?timeout=5"), None)[0]
    assert here == f"sqlite:///{tmp_path / 'mlflow.db'}?timeout=5"
    for kept in (here, "sqlite:///:memory:", "sqlite://", "postgresql://h/db"):
        assert address_of(Mlflow(uri=kept), None)[0] == kept
    odd = tmp_path / "a?b"
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(ConfigError, match="choose another"):
        address_of(Mlflow(uri="sqlite:///mlflow.db"), None)


def test_artifacts_of_a_database_that_tells_no_place_go_to_no_folder_of_this_machine(settings):
    found = connect(settings)
    found.uri = "postgresql://u@host/db"  # as if it were a database
    with pytest.raises(MlflowFailed, match="mlflow experiments create -n 'calhard/no place'"):
        experiment_of(found, "calhard/no place")
    assert found.client.get_experiment_by_name("calhard/no place") is None


def test_passwords_in_the_configuration_stand_in_no_file_of_the_night_and_no_artifact(tmp_path):
    where = "[calibration.hardening.mlflow]"
    plan = AuditPlan.from_text(
        f'{where}\nuri = "http://bob:{PASSWORD}@127.0.0.1:9"\nusername = "bob"\n'
        f'password = "{PASSWORD}"\n[calibration.hardening.mlflow.registry]\ntoken = "{PASSWORD}"\n'
    )
    content = audited_by(plan, tmp_path / "out")
    (tmp_path / "artifacts").mkdir()
    content.write(tmp_path / "artifacts")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"calhard.toml", "report.html"} <= {path.name for path in files}
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in repr(content)
    assert night_plan(content.night) == AuditPlan()
    assert Identity.of("bob", plan.mlflow.password, None).password == PASSWORD


def test_the_demo_prints_a_command_that_a_shell_takes_and_keeps_its_database_in_the_folder(
    tmp_path,
):
    out = tmp_path / "my #1"
    night = audited(out, "demo")
    command, _ = _browsed(out, night, None)
    words = shlex.split(command.removeprefix("In MLflow"))
    assert words[words.index("--backend-store-uri") + 1] == f"sqlite:///{out / 'mlflow.db'}"
    assert (out / "mlflow.db").stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my #1"]
    assert list((out / "mlartifacts").rglob("report.html"))
    (told,) = _browsed(tmp_path / "my 1?x", night, None)
    assert 'a folder with "?" in its name cannot hold its database' in told
