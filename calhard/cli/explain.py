"""``calhard explain``: the evidence behind a verdict, in words and a plot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from calhard.cli import options

if TYPE_CHECKING:
    from calhard.explanation import Explanation

PLAIN = str.maketrans({"±": "+-", "×": "x", "λ": "lambda", "…": "...", "—": "-"})
"""Signs of our own words where stdout is not Unicode; other characters become ``\\u00e9``."""


@click.command("explain", no_args_is_help=True)
@options.nights_argument
@click.argument("model")
@click.argument("class_", metavar="[CLASS]", required=False)
@click.argument("metric", required=False)
@options.night
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the series to FILE as well.",
)
@click.option("--json", "as_json", is_flag=True, help="The evidence and the verdict as JSON.")
def command(
    *,
    out: Path | str,
    model: str,
    class_: str | None,
    metric: str | None,
    night: str | None,
    png: Path | None,
    as_json: bool,
) -> int:
    """Explain why a series in OUT was alarmed, or why it was silent: healthy, or blind.

    Without METRIC or CLASS: the model's series in a table, the worst first, and the worst in full.

    \b
    Examples:
      calhard explain nights churn
      calhard explain nights churn rare aece
      calhard explain nights churn rare aece --night 2026-05-31 --png churn.png
    """
    from calhard.cli.output import json_text, reader_may_leave
    from calhard.explanation import explain_night
    from calhard.store import open_night

    found = explain_night(open_night(out, night), model, class_, metric)
    if png is not None:
        _draw(found, png)
    with reader_may_leave():
        if as_json:
            click.echo(json_text(found.to_dict(), sort_keys=False))
        else:
            _show(found)
    return 0


def _draw(found: Explanation, png: Path) -> None:
    from calhard.errors import ConfigError
    from calhard.explanation.figure import png_bytes

    if found.picture is None:
        raise ConfigError(f"nothing to draw to {png}: no values of this series were kept")
    png.write_bytes(png_bytes(found.picture, found.sentence, found.reliability))


def _show(found: Explanation) -> None:
    """Print the words, then the plot, as wide as the terminal."""
    from calhard.cli.terminal import Terminal
    from calhard.explanation.plot import plot_text

    terminal = Terminal()
    ascii_only = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    parts = [found.told(min(terminal.width, 96))]
    if found.picture is not None:
        colours = terminal.is_terminal and not terminal.no_color and not terminal.is_dumb_terminal
        parts.append(
            plot_text(found.picture, terminal.width, ascii_only=ascii_only, colours=colours)
        )
    text = "\n\n".join(parts)
    if ascii_only:
        text = text.translate(PLAIN).encode("ascii", "backslashreplace").decode("ascii")
    click.echo(text, color=True)  # its colours were decided on above
