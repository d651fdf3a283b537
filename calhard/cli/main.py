"""The ``calhard`` command: a group whose commands are imported only when they are called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from calhard._version import __version__
from calhard.cli.failures import CalhardGroup

COMMANDS = {
    "demo": "simulate a small fleet, audit it, say where to look",
    "simulate": "write a synthetic fleet with known faults",
    "measure": "turn predictions with their outcomes into a history",
    "check": "say what an audit would cover and reject",
    "prepare": "rewrite a history as sorted Parquet, and append to it",
    "audit": "audit one night of a fleet",
    "submit": "audit one night on a Ray cluster, as a Ray job",
    "publish": "send published nights to MLflow",
    "report": "print a published night's reports again",
    "explain": "the evidence behind a verdict, in words and a plot",
    "config": "print the effective configuration or its schema",
    "doctor": "examine this machine and a cluster, and say what to mend",
    "baseline": "pin, show and list what drift is measured against",
    "prune": "drop old nights, never the latest",
    "completion": "print the shell completion script",
}


class LazyGroup(CalhardGroup):
    """Lists commands without importing them: ``--help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of all commands, the newcomer's first."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"calhard.cli.{cmd_name}").command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands and what they do, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="calhard")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, *, debug: bool) -> None:
    """Audit the calibration of a fleet of models: silent when healthy, loud when broken.

    \b
    Start with:
      calhard demo
      calhard check HISTORY
      calhard audit HISTORY --out nights
    """
    ctx.obj = {"debug": debug}


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit with its code."""
    sys.exit(cli.main(args=args, prog_name="calhard", standalone_mode=False) or 0)


if __name__ == "__main__":
    main()
