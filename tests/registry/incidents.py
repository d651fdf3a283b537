"""A model that broke with its new version, as nights, snapshots and the registry show it."""

from __future__ import annotations

import os
import signal

from calhard.registry.actions import carry_out, plan_rollback
from calhard.registry.actions.ledger import ActionInProgress
from calhard.registry.actions.outcome import ALREADY, DONE, REFUSED
from calhard.registry.nightly import look_up
from tests.registry.nights import aliases, clock, publish, register


def night(out, day, server, *, fleet, **models):
    """Publish a night and set it beside the registry."""
    found = look_up(out, publish(out, day, fleet=fleet, **models), server, clock=clock(day))
    found.tag(f"run-{day}")


def broken_by_version_3(out, server, name):
    """Version 2 was sound on two nights, version 3 is critical on the third; fleet = name."""
    register(server.client, name, 3, champion=2)
    for day, state in ((0, "HEALTHY"), (1, "HEALTHY")):
        night(out, day, server, fleet=name, **{name: state})
    server.client.set_registered_model_alias(name, "champion", "3")
    night(out, 2, server, fleet=name, **{name: "CRITICAL"})
    return plan_rollback(out, name, incident="i-1")


def champion(server, name):
    return aliases(server.client, name).get("champion")


def act(move, out, server, day=2, **more):
    return carry_out(move, out, server, dry_run=False, clock=clock(day), **more)


def dying_at(step):
    """Tell a try's progress to end the process when it comes to a step."""

    def progress(reached):
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


def in_child(work):
    """Run work in a child process; return its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


CODES = {DONE: 10, ALREADY: 11, REFUSED: 12}
BUSY = 13


def code_of(move, out, server):
    """Carry an order out in this process and return what became of it as an exit code."""
    try:
        return CODES[act(move, out, server).status]
    except ActionInProgress:
        return BUSY
