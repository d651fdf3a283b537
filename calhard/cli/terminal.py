"""Stdout for a person."""

from __future__ import annotations

from rich.console import Console


class Terminal(Console):
    """Colours on a terminal, plain text elsewhere; long lines are left to whoever shows them."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: rich would exit with 1, which means findings."""
        raise BrokenPipeError
