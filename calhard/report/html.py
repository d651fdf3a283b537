"""``report.html``: one file, no request to anywhere, and no script but one that scrolls."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import cache
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined

from calhard.report import heat, plot, reliability, soundness, tables
from calhard.report.cards import cards
from calhard.report.changes import changes
from calhard.report.exhibits import Exhibits
from calhard.report.gaps import gaps
from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import covered, instant, number, percent, reasons


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("calhard.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "covered": covered,
        "percent": percent,
        "number": number,
        "instant": instant,
        "cell": tables.cell,
        "heading": tables.heading,
        "shown": display_name,
        "plain": plain,
        "capitalize_first": capitalized,
    }
    return environment


@cache
def script() -> str:
    """Return the page's one script, which is fixed: links to parts work within a frame as well."""
    return _environment().get_template("anchors.js").render()


@cache
def policy() -> str:
    """Return what a browser allows the page: its own styles, and this very script."""
    digest = b64encode(sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def plain(text: str) -> str:
    """Return lines of text with everything invisible in them made visible."""
    return "\n".join(display_name(line, len(line) * 10) for line in text.split("\n"))


def capitalized(text: str) -> str:
    """Return a sentence that begins with a capital; the rest stays."""
    return text[:1].upper() + text[1:]


def html_report(night: NightReport, exhibits: Exhibits | None = None) -> str:
    """Return the page; every value in it is escaped, and at most 200 rows of a table shown."""
    exhibits = exhibits or Exhibits()
    page: str = (
        _environment()
        .get_template("report.html")
        .render(
            policy=policy(),
            script=script(),
            night=night.night,
            as_of=datetime.fromisoformat(night.summary["as_of"]),
            summary=night.summary,
            reasons=reasons(night.summary),
            changes=changes(night, exhibits.before),
            gaps=gaps(night),
            cards=cards(night, exhibits),
            further=tables.further_incidents(night),
            listings=tables.listings(night),
            states=tables.STATES,
            widths=tables.WIDTHS,
            heat=heat.heat_map(night, exhibits),
            heat_states=heat.STATES,
            histograms=soundness.histograms(night.summary, exhibits),
            histogram_height=soundness.HEIGHT,
            plot_height=plot.HEIGHT,
            plot_grid=plot.GRID,
            share=reliability,
            configuration=night.configuration,
        )
    )
    return page
