"""Executors that race, die, stand still or meet an operator: the alias moves once, or not."""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from calhard.registry.actions import plan_undo
from calhard.registry.actions.books import experiment_name, find_ledger, open_ledger
from calhard.registry.actions.journal import read_record
from calhard.registry.actions.ledger import LEASE, ActionInProgress
from calhard.registry.actions.task import STEPS
from tests.registry.incidents import (
    BUSY,
    CODES,
    act,
    broken_by_version_3,
    champion,
    code_of,
    dying_at,
    in_child,
)
from tests.registry.nights import moment


@pytest.fixture
def scene(connected, name, tmp_path):
    server = connected()
    return server, name, tmp_path, broken_by_version_3(tmp_path, server, name)


def outcomes(server, move):
    return [claim.outcome for claim in find_ledger(server, move.model).claims(move)]


def action_runs(server, name):
    there = server.client.get_experiment_by_name(experiment_name(name))
    return server.client.search_runs([there.experiment_id], "tags.`calhard.kind` = 'action'")


def ledgers(server, name):
    there = server.client.get_experiment_by_name(experiment_name(name))
    return server.client.search_runs([there.experiment_id], "tags.`calhard.kind` = 'ledger'")


def test_of_many_threads_with_one_order_exactly_one_carries_it_out(scene):
    server, name, out, move = scene
    start = threading.Barrier(6)

    def one(_):
        start.wait()
        return code_of(move, out, server)

    with ThreadPoolExecutor(6) as pool:
        found = Counter(pool.map(one, range(6)))
    assert found[CODES["done"]] == 1
    assert found.total() - found[CODES["done"]] == found[BUSY] + found[CODES["already done"]]
    assert champion(server, name) == "2"
    assert outcomes(server, move).count("done") == 1
    assert (len(action_runs(server, name)), len(ledgers(server, name))) == (1, 1)


def test_of_processes_with_an_order_each_for_the_same_incident_one_carries_it_out(scene):
    server, name, out, move = scene
    other = replace(move, incident="i-2")
    ready, go = os.pipe()
    children = []
    for mine in (move, other, move):
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.close(go)
                os.read(ready, 1)  # all begin when the parent closes its end
                code = code_of(mine, out, server)
            finally:
                os._exit(code)
        children.append(child)
    os.close(go)
    os.close(ready)
    found = Counter(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children)
    assert found[CODES["done"]] == 1
    assert set(found) <= {*CODES.values(), BUSY}
    assert champion(server, name) == "2"
    assert outcomes(server, move).count("done") == 1
    assert len(ledgers(server, name)) == 1


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_and_run_again_it_is_done_once(scene, step):
    server, name, out, move = scene
    assert in_child(lambda: act(move, out, server, progress=dying_at(step)) and 0) == -9
    assert champion(server, name) in {"2", "3"}
    assert act(move, out, server).status in {"done", "already done"}
    assert champion(server, name) == "2"
    assert outcomes(server, move).count("done") == 1
    assert read_record(out, move.key)["outcome"] == "done"
    (run,) = action_runs(server, name)
    assert (run.info.status, run.data.tags["calhard.outcome"]) == ("FINISHED", "done")
    assert plan_undo(out, move.key).target == "3"


def test_an_operator_who_moves_the_alias_after_the_claim_wins(scene):
    server, name, out, move = scene

    def progress(step):
        if step == "look":
            server.client.set_registered_model_alias(name, "champion", "1")

    found = act(move, out, server, progress=progress)
    assert found.status == "refused"
    assert "points at version 1, not at 3" in found.told
    assert champion(server, name) == "1"
    (run,) = action_runs(server, name)
    assert (run.info.status, run.data.tags["calhard.outcome"]) == ("FAILED", "refused")
    server.client.set_registered_model_alias(name, "champion", "3")
    assert act(move, out, server).status == "done"


def test_an_operator_who_moves_the_alias_right_after_it_was_set_is_told_and_left_alone(scene):
    server, name, out, move = scene

    def progress(step):
        if step == "read":
            server.client.set_registered_model_alias(name, "champion", "1")

    found = act(move, out, server, progress=progress)
    assert (found.status, champion(server, name)) == ("overtaken", "1")
    assert "right after it was set the alias points at version 1" in found.told
    assert act(move, out, server).status == "already done"
    assert champion(server, name) == "1"


def test_what_another_finished_between_the_first_look_and_the_claim_is_done_already(scene):
    server, name, out, move = scene

    def progress(step):
        if step == "claim":
            assert act(move, out, server).status == "done"

    assert act(move, out, server, progress=progress).status == "already done"
    assert outcomes(server, move) == ["done", "already done"]
    assert read_record(out, move.key)["outcome"] == "done"
    assert champion(server, name) == "2"


def test_a_claim_holds_off_others_until_its_lease_is_over(scene):
    server, name, out, move = scene
    ledger = open_ledger(server, name)
    ledger.take(move, moment(2))
    with pytest.raises(ActionInProgress, match="is being moved by process"):
        act(move, out, server)
    assert champion(server, name) == "3"
    late = moment(2) + LEASE + 1
    assert open_ledger(server, name).take(move, late).number == 2


def test_who_wakes_up_behind_another_does_nothing(scene):
    server, name, out, move = scene

    def progress(step):
        if step == "look":  # meanwhile its lease is over, and another takes the action
            open_ledger(server, name).take(move, moment(2) + LEASE + 1)

    found = act(move, out, server, progress=progress)
    assert found.status == "refused"
    assert "another took the action over" in found.told
    assert champion(server, name) == "3"


def test_with_two_ledgers_a_claim_counts_that_was_won_on_both(scene):
    server, name, _, move = scene
    first = open_ledger(server, name)
    second = server.client.create_run(
        first.experiment_id, tags={"calhard.kind": "ledger"}
    ).info.run_id
    only_second = replace(first, runs=(second,), owner="b")
    both = open_ledger(server, name)
    assert len(both.runs) == 2
    assert first.take(move, moment(2)).number == 1
    with pytest.raises(ActionInProgress):
        both.take(move, moment(2))
    assert only_second.claims(move) == []


def test_two_who_create_the_ledger_at_once_use_one(connected, name):
    servers = [connected() for _ in range(4)]
    start = threading.Barrier(4)

    def one(server):
        start.wait()
        return open_ledger(server, name).runs

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(one, servers))
    assert len(found) == 1
    assert len(next(iter(found))) == 1
