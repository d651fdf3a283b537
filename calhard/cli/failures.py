"""Errors become one message on stderr and an exit code; a traceback only with ``--debug``."""

from __future__ import annotations

import difflib
import io
import sys
import traceback
from typing import Any

import click

from calhard.cli.output import silence
from calhard.errors import CalhardError

FAILED, USAGE, INTERRUPTED = 4, 2, 130
CLICKS_OWN = (click.ClickException, click.exceptions.Exit, click.Abort)


class CalhardGroup(click.Group):
    """A group that tells errors to a person."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; return its exit code."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.exceptions.Exit as e:
            code = e.exit_code
        except click.ClickException as e:
            told = io.StringIO()
            e.show(told)
            click.echo(inert(told.getvalue()), err=True, nl=False)
            code = USAGE
        except click.Abort:
            click.echo("calhard: interrupted; run the command again to finish", err=True)
            code = INTERRUPTED
        except OSError as e:  # help that cannot be written
            click.echo(f"calhard: {e.strerror}", err=True)
            code = FAILED
        return _flushed(code)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments, which may print the help."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError as e:
            silence()
            raise click.exceptions.Exit(0) from e

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; errors meant for a person are shown as such."""
        try:
            return super().invoke(ctx)
        except CLICKS_OWN:
            raise
        except BrokenPipeError:  # click would exit with 1, which means findings
            silence()
            return 0
        except CalhardError as e:
            return _told(ctx, str(e), e.exit_code)
        except MemoryError:
            return _told(ctx, "out of memory; try --workers 1", FAILED)
        except OSError as e:
            place = f"{e.filename}: " if e.filename is not None else ""
            return _told(ctx, f"{place}{e.strerror or e}", FAILED)
        except Exception as e:  # noqa: BLE001  # Python would exit with 1, which means findings
            fault = f"{type(e).__name__}: {e}"
            remedy = "please report it with the traceback that calhard --debug shows"
            return _told(ctx, f"an error of calhard itself, {fault}; {remedy}", FAILED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest one where there is none."""
        known = self.list_commands(ctx)
        name = args[0]
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            ctx.fail(f"No such command {name!r}; {hint}")
        return super().resolve_command(ctx, args)


def _told(ctx: click.Context, message: str, code: int) -> int:
    """Show the error that is being handled; return its exit code."""
    if ctx.params.get("debug"):
        click.echo(traceback.format_exc(), err=True, nl=False)
    click.echo(f"calhard: {inert(message)}", err=True)
    return code


def inert(message: str) -> str:
    """Return a message in which the terminal obeys nothing: names of files or columns may try."""
    from calhard.wording.names import display_name

    return "\n".join(display_name(line, len(message) * 10) for line in message.split("\n"))


def _flushed(code: Any) -> Any:
    """Write out what is left; where that fails, keep Python from complaining about it again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        silence()
    return code
