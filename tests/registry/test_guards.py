"""Ways around the guards of the executor, each closed: two registries, two fleets, lost answers."""

import json
from dataclasses import replace
from functools import cache

import pytest
import requests

from calhard.errors import InputError
from calhard.plan.publishing import Mlflow
from calhard.registry.actions import plan_rollback, plan_undo
from calhard.registry.actions.books import open_ledger
from calhard.registry.actions.journal import action_run, record_place
from calhard.registry.actions.ledger import ActionInProgress
from calhard.registry.nightly import look_up
from calhard.sinks.mlflow.client import connect
from calhard.store import open_night
from tests.registry.incidents import act, broken_by_version_3, champion, night
from tests.registry.nights import clock, moment, register, tags


@pytest.fixture
def scene(connected, name, tmp_path):
    server = connected()
    return server, name, tmp_path, broken_by_version_3(tmp_path, server, name)


@cache
def database(folder):
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def other(server):
    """The same registry by another address: as far as anybody can tell, another registry."""
    return connect(Mlflow(uri=database(server.folder)))


def refused(found):
    assert found.status == "refused"
    return "; ".join(found.reasons)


def test_a_night_of_one_registry_says_nothing_of_another(scene, other):
    server, name, out, move = scene
    other.client.set_registered_model_alias(name, "champion", "1")
    found = look_up(out, open_night(out, None), other, clock=clock(2))
    assert [row["version"] for row in found.snapshot.of(name)] == ["1"]
    found.tag("elsewhere")
    assert tags(other.client, name, 1)["calhard.verdict"] == "FAIL"
    with pytest.raises(InputError, match=r"snapshots of .*; name one of them"):
        plan_rollback(out, name, incident="i")
    assert plan_rollback(out, name, incident="i-1", server=server.shown) == move


def test_an_order_is_carried_out_at_the_registry_alone_that_it_is_about(scene, other):
    server, name, out, move = scene
    assert "it is about the registry at" in refused(act(move, out, other))
    assert "no snapshot of night" in refused(act(replace(move, server=other.shown), out, other))
    assert champion(server, name) == "3"


def test_what_calls_itself_an_undo_must_mirror_a_rollback_that_was_done_last(scene):
    server, name, out, move = scene
    forged = replace(move, kind="undo", target="1")
    assert "not the mirror image" in refused(act(forged, out, server))
    assert "the last action that moved" in refused(act(replace(forged, undoes="x"), out, server))
    server.client.set_registered_model_alias(name, "champion", "2")
    told = refused(act(move.undone, out, server))  # of a rollback that was never done
    assert "the last action that moved" in told
    server.client.set_registered_model_alias(name, "champion", "3")
    assert act(move, out, server).status == "done"
    told = refused(act(replace(move.undone, target="1"), out, server))
    assert "not the mirror image" in told
    assert champion(server, name) == "2"


def test_an_order_of_another_kind_is_refused(scene):
    server, name, out, move = scene
    assert "'promote' is no action" in refused(act(replace(move, kind="promote"), out, server))
    assert "undoes nothing" in refused(act(replace(move, undoes="x"), out, server))
    assert champion(server, name) == "3"


def test_a_record_that_was_changed_gives_no_undo(scene):
    server, _, out, move = scene
    act(move, out, server)
    place = record_place(out, move.key)
    record = json.loads(place.read_text())
    record["order"]["source"] = "1"
    place.write_text(json.dumps(record))
    with pytest.raises(InputError, match="was changed"):
        plan_undo(out, move.key)


class Losing:
    """A client whose first answer to a request is lost; `meanwhile` happens before."""

    def __init__(self, client, request, meanwhile=lambda: None, *, is_heard=True):
        self.client, self.request, self.asked = client, request, 0
        self.meanwhile, self.is_heard = meanwhile, is_heard

    def __getattr__(self, name):
        method = getattr(self.client, name)
        return self._lossy(method) if name == self.request else method

    def _lossy(self, method):
        def asked(*args, **kwargs):
            self.asked += 1
            if self.asked > 1:
                return method(*args, **kwargs)
            if self.is_heard:
                method(*args, **kwargs)
            self.meanwhile()
            raise requests.ConnectionError("the server starts anew")

        return asked


@pytest.mark.parametrize("is_heard", [True, False])
def test_an_operator_who_moves_the_alias_while_an_answer_is_lost_is_not_overwritten(
    scene, connected, is_heard
):
    server, name, out, move = scene
    operator = connected().client
    server._client = Losing(
        server._client,
        "set_registered_model_alias",
        lambda: operator.set_registered_model_alias(name, "champion", "1"),
        is_heard=is_heard,
    )
    assert "points at version 1, not at 3" in refused(act(move, out, server))
    assert (champion(server, name), server._client.asked) == ("1", 1)


@pytest.mark.parametrize(("is_heard", "asked"), [(True, 1), (False, 2)])
def test_an_alias_whose_setting_was_not_answered_is_looked_at_before_it_is_set_again(
    scene, is_heard, asked
):
    server, name, out, move = scene
    server._client = Losing(server._client, "set_registered_model_alias", is_heard=is_heard)
    assert act(move, out, server).status == "done"
    assert (champion(server, name), server._client.asked) == ("2", asked)


def test_an_order_whose_run_was_asked_for_twice_has_one(scene):
    server, name, _, move = scene
    experiment = open_ledger(server, name).experiment_id
    server._client = Losing(server._client, "create_run")
    run_id = action_run(server.client, experiment, move)
    (run,) = server.client.search_runs([experiment], f"tags.`calhard.action_key` = '{move.key}'")
    assert (server._client.asked, run.info.run_id) == (2, run_id)


def test_two_fleets_claim_one_alias_one_after_the_other(scene):
    server, name, out, move = scene
    ledger = open_ledger(server, move.model)
    ledger.take(replace(move, fleet="us"), moment(2))
    with pytest.raises(ActionInProgress):
        act(move, out, server)
    assert champion(server, name) == "3"


def test_an_order_in_the_name_of_another_fleet_is_refused(scene):
    server, name, out, move = scene
    told = refused(act(replace(move, fleet="us"), out, server))
    assert f"is of fleet {name}, not us" in told


def test_a_model_that_was_deleted_and_made_anew_is_another(scene):
    server, name, out, move = scene
    server.client.delete_registered_model(name)
    assert f"no model {name} is registered any more" in refused(act(move, out, server))
    register(server.client, name, 3, champion=3)
    assert "was deleted and made anew" in refused(act(move, out, server))
    there = server.client.get_registered_model(name).creation_timestamp
    told = refused(act(replace(move, created=there), out, server))
    assert "audited another model of the name" in told
    assert "no snapshot shows that version 2" in told


def test_the_worst_verdict_of_two_fleets_stands_and_holds_a_rollback_off(scene):
    server, name, out, move = scene
    night(out / "us", 2, server, fleet="us", **{name: "HEALTHY"})
    assert tags(server.client, name, 3)["calhard.verdict"] == "FAIL"
    assert tags(server.client, name, 3)["calhard.verdict.us"].startswith("PASS ")
    night(out / "us", 3, server, fleet="us", **{name: "CRITICAL"})
    night(out, 3, server, fleet=name, **{name: "HEALTHY"})
    assert tags(server.client, name, 3)["calhard.verdict"] == "FAIL"
    night(out / "us", 4, server, fleet="us", **{name: "HEALTHY"})
    assert tags(server.client, name, 3)["calhard.verdict"] == "PASS"
    server.client.set_model_version_tag(name, "2", "calhard.verdict.us", "FAIL 2026-06-01 run")
    assert "has the tag calhard.verdict.us = FAIL" in refused(act(move, out, server))
