"""Prints a night: for a person, or as JSON."""

from __future__ import annotations

import click

from calhard.cli.output import json_text, reader_may_leave
from calhard.cli.terminal import Terminal
from calhard.report import NightReport, terminal_summary
from calhard.store import NightReader


def show_night(night: NightReader, *, as_json: bool) -> None:
    """Print a published night's summary to stdout."""
    with reader_may_leave():
        if as_json:
            click.echo(json_text(night.summary))
            return
        tables = {"incidents": night.table("incidents")}
        report = NightReport(night.night, tables, night.summary, "")
        terminal_summary(report, Terminal(), where=str(night.path / "report.html"))
