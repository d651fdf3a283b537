"""A guarded rollback on a real server: what it refuses, what it does, what it leaves."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from calhard.errors import CalhardError, InputError
from calhard.registry.actions import carry_out, plan_rollback, plan_undo
from calhard.registry.actions.books import experiment_name, find_ledger
from calhard.registry.actions.journal import read_record
from tests.registry.incidents import act, broken_by_version_3, champion, night
from tests.registry.nights import clock, night_of, publish, register


@pytest.fixture
def scene(connected, name, tmp_path):
    """Server, name, nights and the order to roll back."""
    server = connected()
    return server, name, tmp_path, broken_by_version_3(tmp_path, server, name)


def runs(server, fleet, kind="action"):
    there = server.client.get_experiment_by_name(experiment_name(fleet))
    if there is None:
        return []
    return server.client.search_runs([there.experiment_id], f"tags.`calhard.kind` = '{kind}'")


def test_the_order_is_back_to_the_version_that_the_snapshots_show_before(scene):
    _, name, _, move = scene
    assert (move.model, move.alias, move.source, move.target) == (name, "champion", "3", "2")
    assert (move.incident, move.night) == ("i-1", night_of(2))


def test_by_default_nothing_is_done(scene):
    server, name, out, move = scene
    before = sorted(p for p in out.rglob("*"))
    assert carry_out(move, out, server, clock=clock(2)).status == "dry run"
    assert champion(server, name) == "3"
    assert runs(server, name) == runs(server, name, "ledger") == []
    assert sorted(p for p in out.rglob("*")) == before


def test_a_rollback_is_done_once_recorded_and_undone_once(scene):
    server, name, out, move = scene
    assert act(move, out, server).status == "done"
    assert champion(server, name) == "2"
    record = read_record(out, move.key)
    assert record["outcome"] == "done"
    assert [entry["outcome"] for entry in record["tries"]] == ["intent", "done"]
    (run,) = runs(server, name)
    assert run.info.status == "FINISHED"
    assert run.data.tags["calhard.outcome"] == "done"
    assert run.data.params == {k: str(v) for k, v in record["order"].items() if v}
    told = json.loads(server.client.get_registered_model(name).tags["calhard.action"])
    assert (told["state"], told["key"]) == ("done", move.key)

    server.client.set_registered_model_alias(name, "champion", "3")  # somebody wants it so
    assert act(move, out, server).status == "already done"
    assert champion(server, name) == "3"
    server.client.set_registered_model_alias(name, "champion", "2")

    undo = plan_undo(out, move.key)
    assert (undo.kind, undo.source, undo.target) == ("undo", "2", "3")
    assert act(undo, out, server).status == "done"
    assert champion(server, name) == "3"
    assert act(undo, out, server).status == "already done"
    assert len(runs(server, name)) == 2


def test_an_incident_of_any_name_is_recorded_and_inert(scene):
    server, name, out, planned = scene
    move = replace(
        planned, incident="\x00\ud800<b>'; DROP TABLE runs; --\r\n../../etc" + "x" * 9_000
    )
    assert act(move, out, server).status == "done"
    (run,) = runs(server, name)
    assert run.data.params["incident"].startswith("\\x00\\ud800<b>'; DROP")
    assert plan_undo(out, move.key).incident == move.incident
    assert [p.name for p in (out / ".registry" / "actions").iterdir()] == [f"{move.key}.json"]


def test_an_undo_is_refused_where_the_alias_was_moved_since(scene):
    server, name, out, move = scene
    act(move, out, server)
    server.client.set_registered_model_alias(name, "champion", "1")
    found = act(plan_undo(out, move.key), out, server)
    assert found.status == "refused"
    assert "points at version 1, not at 2" in found.told
    assert champion(server, name) == "1"


def test_what_was_not_done_cannot_be_undone(scene):
    server, name, out, move = scene
    with pytest.raises(InputError, match="no record of an action"):
        plan_undo(out, move.key)
    server.client.set_registered_model_alias(name, "champion", "1")
    assert act(move, out, server).status == "refused"
    with pytest.raises(InputError, match="only a rollback that is done can be undone"):
        plan_undo(out, move.key)


def refused(scene, move=None, day=2):
    server, name, out, planned = scene
    before = champion(server, name)
    found = act(move or planned, out, server, day)
    assert found.status == "refused"
    assert champion(server, name) == before
    assert read_record(out, (move or planned).key)["outcome"] == "refused"
    assert runs(server, name, "ledger") == []
    return "; ".join(found.reasons)


def test_it_is_refused_where_an_operator_has_moved_the_alias(scene):
    server, name, *_ = scene
    server.client.set_registered_model_alias(name, "champion", "1")
    assert f"{name}@champion points at version 1, not at 3" in refused(scene)
    server.client.delete_registered_model_alias(name, "champion")
    assert f"{name}@champion points at nothing" in refused(scene)


def test_the_same_refusal_again_is_counted_and_the_record_does_not_grow(scene):
    _, name, out, move = scene
    scene[0].client.set_registered_model_alias(name, "champion", "1")
    for _ in range(3):
        refused(scene)
    (entry,) = read_record(out, move.key)["tries"]
    assert (entry["outcome"], entry["times"]) == ("refused", 3)


def test_it_is_refused_where_the_target_is_gone_or_has_a_verdict_that_is_no_pass(scene):
    server, name, *_ = scene
    server.client.set_model_version_tag(name, "2", "calhard.verdict", "WARN")
    assert "version 2 has the tag calhard.verdict = WARN" in refused(scene)
    server.client.delete_model_version(name, "2")
    assert "has no version 2 any more" in refused(scene)


def test_it_is_refused_while_the_target_is_not_ready(scene, server):
    _, name, *_ = scene
    with closing(sqlite3.connect(server.folder / "mlflow.db", timeout=30)) as database, database:
        changed = database.execute(
            "UPDATE model_versions SET status = ? WHERE name = ? AND version = 2",
            ("PENDING_REGISTRATION", name),
        )
        assert changed.rowcount == 1
    assert f"{name} version 2 is PENDING_REGISTRATION, not READY" in refused(scene)


def test_it_is_refused_to_a_version_that_no_snapshot_shows_in_service(scene):
    *_, move = scene
    told = refused(scene, replace(move, target="1"))
    assert "no snapshot shows that version 1 was audited in service" in told


def test_it_is_refused_once_the_night_is_not_the_latest_or_too_old(scene):
    server, name, out, _ = scene
    assert "is older than 3d" in refused(scene, day=9)
    night(out, 3, server, fleet=name, **{name: "CRITICAL"})
    assert f"night {night_of(3)} has spoken since" in refused(scene, day=3)
    assert act(plan_rollback(out, name, incident="i-1"), out, server, day=3).status == "done"


def test_it_is_refused_where_the_order_and_the_snapshot_disagree(scene):
    *_, move = scene
    told = refused(scene, replace(move, source="1", night=night_of(1)))
    assert f"night {night_of(1)} audited version 2, not 1" in told
    assert f"night {night_of(1)} found nothing wrong" in refused(
        scene, replace(move, source="2", target="1", night=night_of(1))
    )
    assert "no snapshot of night 2026-01-01" in refused(scene, replace(move, night="2026-01-01"))


def test_it_is_refused_to_a_version_whose_last_audit_it_did_not_pass(connected, name, tmp_path):
    server = connected(verdicts=False)
    register(server.client, name, 3, champion=2)
    night(tmp_path, 0, server, fleet=name, **{name: "HEALTHY"})
    night(tmp_path, 1, server, fleet=name, **{name: "DEGRADED"})
    server.client.set_registered_model_alias(name, "champion", "3")
    night(tmp_path, 2, server, fleet=name, **{name: "CRITICAL"})
    move = plan_rollback(tmp_path, name, incident="i")
    found = carry_out(move, tmp_path, server, clock=clock(2))
    assert found.reasons == (f"version 2 did not pass its last audit: WARN on {night_of(1)}",)


def test_what_cannot_be_planned_says_what_is_missing(connected, name, tmp_path):
    server = connected()
    with pytest.raises(InputError, match="no snapshot of the aliases of any night"):
        plan_rollback(tmp_path, name, incident="i")
    register(server.client, name, 1, champion=1)
    night(tmp_path, 0, server, fleet=name, **{name: "CRITICAL"})
    with pytest.raises(InputError, match="no snapshot shows a version before 1"):
        plan_rollback(tmp_path, name, incident="i")
    with pytest.raises(InputError, match="shows no version in service under staging"):
        plan_rollback(tmp_path, name, incident="i", alias="staging")
    with pytest.raises(InputError, match="no snapshot of the aliases of night 2026-01-01"):
        plan_rollback(tmp_path, name, incident="i", night="2026-01-01")


def test_a_record_that_cannot_be_written_stops_it_before_the_alias_moves(scene):
    server, name, out, move = scene
    (out / ".registry" / "actions").write_text("a file where a folder belongs")
    with pytest.raises(CalhardError, match="actions"):
        act(move, out, server)
    assert champion(server, name) == "3"
    (out / ".registry" / "actions").unlink()
    assert act(move, out, server).status == "done"
    claims = find_ledger(server, name).claims(move)
    assert [claim.outcome for claim in claims] == ["broken off", "done"]


def test_an_experiment_of_actions_that_was_deleted_is_told(scene):
    server, name, out, move = scene
    made = server.client.create_experiment(experiment_name(name))
    server.client.delete_experiment(made)
    with pytest.raises(CalhardError, match="was deleted; restore it"):
        act(move, out, server)
    assert champion(server, name) == "3"


def test_nights_without_a_registry_give_no_snapshot_to_plan_with(connected, tmp_path):
    publish(tmp_path, 0, m="CRITICAL")
    with pytest.raises(InputError, match="audit again with --mlflow-uri"):
        plan_rollback(tmp_path, "m", incident="i")
