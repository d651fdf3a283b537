"""``calhard report``: a published night, again."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import options

FILES = {"weekly": "weekly_slo_report.txt", "regression": "regression_report.txt"}


@click.command("report", no_args_is_help=True)
@options.nights_argument
@options.night
@click.option("--weekly", "kind", flag_value="weekly", help="The weekly SLO report.")
@click.option("--regression", "kind", flag_value="regression", help="The regression report.")
@click.option("--html", "kind", flag_value="html", help="Where the HTML report is.")
@click.option("--json", "kind", flag_value="json", help="summary.json.")
@click.option("--verify", is_flag=True, help="Compare every file with the manifest first.")
def command(*, out: Path | str, night: str | None, kind: str | None, verify: bool) -> int:
    """Print the reports of a night in OUT again: its summary, or one of its texts.

    \b
    Examples:
      calhard report nights
      calhard report nights --weekly --night 2026-05-31
      calhard report nights --verify
    """
    from calhard.cli.show import show_night
    from calhard.errors import InputError
    from calhard.store import open_night

    found = open_night(out, night)
    problems = found.verify() if verify else []
    if problems:
        raise InputError(f"{found.path}: {'; '.join(problems)}; audit the night again with --force")
    if kind in FILES:
        click.echo(found.text(FILES[kind]), nl=False)
    elif kind == "html":
        click.echo(found.path / "report.html")
    else:
        show_night(found, as_json=kind == "json")
    return 0
