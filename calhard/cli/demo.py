"""``calhard demo``: a night in a minute."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import options
from calhard.cli.output import reader_may_leave


@click.command("demo")
@click.option(
    "--out",
    type=options.FOLDER,
    default=Path("calhard-demo"),
    show_default=True,
    help="Where to write; an earlier demo there is audited anew.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(*, out: Path, quiet: bool) -> int:
    """Simulate a small fleet with known faults, audit it, compare with the truth.

    \b
    Examples:
      calhard demo
      calhard demo --out my-demo
    """
    from calhard.cli.progress import progress
    from calhard.cli.show import show_night
    from calhard.demo import run_demo
    from calhard.store import open_night

    with progress(quiet=quiet) as tell:
        demo = run_demo(out, progress=tell)
    with reader_may_leave():
        show_night(open_night(demo.out, demo.report.night), as_json=False)
        click.echo(f"\n{demo.told()}")
    return 0
