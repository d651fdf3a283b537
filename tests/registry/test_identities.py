"""Two identities under MLflow's own log-in: one reads for audits, one acts."""

import secrets
import tempfile
from pathlib import Path

import pytest
import requests

from calhard.errors import CalhardError
from calhard.plan.publishing import Mlflow
from calhard.plan.registry import Registry
from calhard.registry.actions import carry_out, connect_to_act, plan_rollback
from calhard.registry.actions.books import experiment_name
from calhard.registry.nightly import look_up
from calhard.registry.snapshot import read_snapshot
from calhard.sinks.mlflow.client import connect
from tests.mlflow.serving import start
from tests.registry.incidents import act, champion
from tests.registry.nights import clock, night_of, publish, register, tags

ADMIN = ("admin", "admin-" + secrets.token_hex(8))
READER = ("reader", "reader-" + secrets.token_hex(8))
ACTOR = ("actor", "actor-" + secrets.token_hex(8))


@pytest.fixture(scope="module")
def guarded():
    """A server that asks for a log-in; everybody may read."""
    pytest.importorskip("mlflow.server.auth", reason="mlflow[auth] is not installed")
    with tempfile.TemporaryDirectory(prefix="calhard-auth-") as name:
        folder = Path(name)
        config = folder / "auth.ini"
        lines = {
            "default_permission": "READ",
            "database_uri": f"sqlite:///{folder / 'auth.db'}",
            "admin_username": ADMIN[0],
            "admin_password": ADMIN[1],
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
            "auth_cache_ttl_seconds": "600",
        }
        config.write_text("[mlflow]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()))
        running = start(
            folder,
            "--app-name",
            "basic-auth",
            MLFLOW_FLASK_SERVER_SECRET_KEY=secrets.token_hex(16),
            MLFLOW_AUTH_CONFIG_PATH=str(config),
        )
        for user, password in (READER, ACTOR):
            asked(running, "2.0/mlflow/users/create", username=user, password=password)
        yield running
        running.stop()


def asked(running, path, **content):
    answer = requests.post(f"{running.uri}/api/{path}", json=content, auth=ADMIN, timeout=30)
    answer.raise_for_status()


def settings(running, who=READER, acting=ACTOR, **keys):
    acts = {} if acting is None else {"username": acting[0], "password": acting[1]}
    return Mlflow(
        uri=running.uri, username=who[0], password=who[1], registry=Registry(**acts, **keys)
    )


@pytest.fixture
def scene(guarded, name, tmp_path):
    """A model whose version 3 broke, of which the actor may move the aliases; three nights."""
    admin = connect(settings(guarded, ADMIN)).client
    register(admin, name, 3, champion=2)
    asked(
        guarded,
        "3.0/mlflow/users/permissions/grant",
        username=ACTOR[0],
        resource_type="registered_model",
        resource_id=name,
        permission="EDIT",
    )
    reader = connect(settings(guarded))
    told = []
    for day, state in ((0, "HEALTHY"), (1, "CRITICAL")):
        found = look_up(
            tmp_path, publish(tmp_path, day, fleet=name, **{name: state}), reader, clock=clock(day)
        )
        told += [*found.told, *found.tag(f"run-{day}")]
        admin.set_registered_model_alias(name, "champion", "3")
    return admin, reader, told, plan_rollback(tmp_path, name, incident="i")


def test_who_may_only_read_snapshots_the_aliases_and_is_told_that_verdicts_were_not_written(
    scene, name, tmp_path
):
    admin, reader, told, _ = scene
    assert [r["version"] for r in read_snapshot(tmp_path, night_of(1), reader.shown).of(name)] == [
        "3"
    ]
    assert len(told) == 2
    assert all("no verdict was written to 1 model version" in line for line in told)
    assert all("give it EDIT, or set [mlflow.registry] verdicts = false" in line for line in told)
    assert tags(admin, name, 2) == tags(admin, name, 3) == {}


def test_who_may_only_read_can_look_what_a_rollback_would_do_and_moves_nothing(
    scene, name, tmp_path
):
    admin, reader, _, move = scene
    assert carry_out(move, tmp_path, reader, clock=clock(1)).status == "dry run"
    with pytest.raises(CalhardError, match="403"):
        act(move, tmp_path, reader, day=1)
    assert dict(admin.get_registered_model(name).aliases) == {"champion": "3"}
    assert admin.get_registered_model(name).tags == {}
    assert admin.get_experiment_by_name(experiment_name(name)) is None


def test_who_may_edit_acts_beside_who_reads_in_one_process(scene, guarded, name, tmp_path):
    _, reader, _, move = scene
    actor = connect_to_act(settings(guarded))
    assert champion(reader, name) == "3"
    assert act(move, tmp_path, actor, day=1).status == "done"
    assert champion(reader, name) == "2"
    with pytest.raises(CalhardError, match="403"):
        reader.client.set_registered_model_alias(name, "champion", "3")
    assert champion(actor, name) == "2"


def test_verdicts_of_who_may_edit_are_written(scene, guarded, name, tmp_path):
    admin, *_ = scene
    actor = connect_to_act(settings(guarded))
    night = publish(tmp_path / "b", 2, fleet=name, **{name: "DEGRADED"})
    assert look_up(tmp_path / "b", night, actor, clock=clock(2)).tag("run") == ()
    assert tags(admin, name, 3)["calhard.verdict"] == "WARN"


def test_without_an_identity_of_its_own_whoever_publishes_acts(guarded):
    assert connect_to_act(settings(guarded, acting=None)).identity.username == READER[0]
    assert connect_to_act(settings(guarded)).identity.username == ACTOR[0]


def test_a_wrong_password_is_told_and_shows_none(guarded):
    def ask():
        connect_to_act(
            settings(guarded, acting=("actor", "wrong-word"))
        ).client.search_experiments()

    with pytest.raises(CalhardError, match="401") as e:
        ask()
    assert "wrong-word" not in str(e.value)
