"""The undo of a rollback: planned from its record, allowed by the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calhard.errors import InputError
from calhard.registry.actions.journal import move_of, read_record
from calhard.registry.actions.ledger import Claim
from calhard.registry.actions.move import ROLLBACK, Move
from calhard.registry.actions.outcome import CARRIED_OUT
from calhard.store import Out


def plan_undo(out: Out, key: str) -> Move:
    """Return the order that takes a rollback back; ``key`` is the rollback's.

    Raises
    ------
    InputError
        No such rollback was carried out, or its record was changed.
    """
    record = read_record(out, key)
    if record is None:
        raise InputError(f"{out}: no record of an action {key}")
    move, outcome = move_of(record), record.get("outcome")
    if move.kind != ROLLBACK or outcome not in CARRIED_OUT:
        raise InputError(f"{move.told}: {outcome}; only a rollback that is done can be undone")
    return move.undone


def of_ledger(move: Move, claims: Sequence[Claim]) -> Iterator[str]:
    """Yield what speaks against an undo.

    It rests on no file, which anybody may have written, but on the claims of its alias: the last
    one that was carried out must be that of the very rollback whose mirror image the undo is. A
    key is the hash of all of its order.
    """
    if move.mirrored.key != move.undoes:
        yield f"it is not the mirror image of the action {move.undoes}, which it would undo"
    done = [claim for claim in claims if claim.outcome in CARRIED_OUT]
    if not done or done[-1].key != move.undoes:
        yield (
            f"the last action that moved {move.model}@{move.alias} is not {move.undoes}, as the "
            "registry has it; where that broke off, give it again first"
        )
