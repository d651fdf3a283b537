"""What becomes of an order, in words that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from calhard.registry.actions.move import Move

DRY, DONE, REFUSED, ALREADY, OVERTAKEN, BROKEN = (
    "dry run",
    "done",
    "refused",
    "already done",
    "overtaken",
    "broken off",
)
CARRIED_OUT = frozenset({DONE, OVERTAKEN})
"""The alias was moved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order.

    Attributes
    ----------
    status : ``dry run`` (it would be carried out), ``done``, ``already done`` (by an earlier try),
        ``refused``, or ``overtaken`` (done, and the alias was moved again at once by another)
    reasons : why it was refused or overtaken
    """

    status: str
    move: Move
    reasons: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Return it in words."""
        return ": ".join(
            [f"{self.move.told}: {self.status}", "; ".join(self.reasons)][: 1 + bool(self.reasons)]
        )
