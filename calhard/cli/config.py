"""``calhard config``: the configuration in force."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("config")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--schema", is_flag=True, help="The JSON schema of a plan.")
def command(*, file: Path | None, schema: bool) -> int:
    """Print the effective configuration of FILE, or the defaults; check FILE on the way.

    \b
    Examples:
      calhard config > calhard.toml        start from the defaults
      calhard config calhard.toml          what is in force; every error with its line
      calhard config --schema              for editors
    """
    from calhard.plan import AuditPlan

    if schema:
        click.echo(json.dumps(AuditPlan.json_schema(), indent=2, sort_keys=True))
        return 0
    plan = AuditPlan() if file is None else AuditPlan.from_toml(file)
    click.echo(plan.to_toml(), nl=False)
    return 0
