"""Errors become one message on stderr and an exit code; a traceback only with ``--debug``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from calhard.errors import CalhardError

FAILED, USAGE, INTERRUPTED = 4, 2, 130


class CalhardGroup(click.Group):
    """A group that tells errors to a person."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; return its exit code."""
        kwargs["standalone_mode"] = False
        try:
            return super().main(*args, **kwargs)
        except click.exceptions.Exit as e:
            return e.exit_code
        except click.ClickException as e:
            e.show()
            return USAGE
        except click.Abort:
            click.echo("interrupted; nothing was published", err=True)
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of stdout has gone; keep Python from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; errors meant for a person are shown as such."""
        try:
            return super().invoke(ctx)
        except CalhardError as e:
            if ctx.params.get("debug"):
                raise
            click.echo(f"calhard: {e}", err=True)
            return e.exit_code
        except MemoryError:
            click.echo("calhard: out of memory; try --workers 1", err=True)
            return FAILED
