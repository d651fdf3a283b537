"""A run of `measure` in words, safe to show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from math import floor

from calhard.history.account import REMEDIES
from calhard.measure.changes import Kept
from calhard.measure.duplicates import AGREE
from calhard.measure.manifest import period_text
from calhard.measure.periods import Period
from calhard.measure.result import UNUSED, MeasureReport
from calhard.measure.rules import UNUSED as STATES
from calhard.wording.names import display_name

MOST = 10
"""Files or periods that are told one by one."""
WIDTH = 11


def report_lines(report: MeasureReport) -> list[str]:
    """Return what was measured, what was left out and why, and where the history is."""
    parts = f"{report.parts:,} file{_s(report.parts)}"
    written = f"{len(report.written):,} of them written" if report.written else "none of them new"
    return [
        *_measured(report),
        *alarming_lines(report),
        _line("history", f"{_name(str(report.history))}: {parts}, {written}"),
        _line("next", f"calhard audit {shlex.quote(_name(str(report.history)))} --out nights"),
    ]


def alarming_lines(report: MeasureReport) -> list[str]:
    """Return what was left out of the history and why."""
    return [
        *_unused(report),
        *_waiting(report),
        *_refused(report),
        *_kept(report),
        *_dropped(report),
        *_older(report),
        *_copies(report),
    ]


def _line(head: str, text: str) -> str:
    return f"{head:<{WIDTH}}{text}"


def _measured(report: MeasureReport) -> Iterator[str]:
    files, span = report.files, report.span()
    if span is None:
        why = "no file is new or changed" if not files.read else "no period is to be measured"
        yield _line("measured", f"nothing to do: {why}" if report.idle else f"nothing: {why}")
        return
    first, last = span
    periods = f"{len(report.periods):,} period{_s(len(report.periods))} of {report.period.text}"
    through = f" ({first})" if first == last else f" ({first} to {last})"
    if report.period.rows is not None:
        periods, through = f"periods of {report.period.rows:,} rows", ""
    yield _line(
        "measured",
        f"{report.models:,} model{_s(report.models)}, {report.classes:,} "
        f"class{'es' if report.classes != 1 else ''}, {periods}{through}: {report.used:,} rows",
    )
    known = f", {files.unchanged:,} unchanged" if files.unchanged else ""
    yield _line(
        "read",
        f"{files.read:,} file{_s(files.read)}: {files.new:,} new, {files.changed:,} changed{known}",
    )


def _unused(report: MeasureReport) -> Iterator[str]:
    for name, state in UNUSED.items():
        count = report.unused.get(name, 0)
        if count:
            reason, _ = STATES[state]
            example = report.account.examples.get(("unused", reason))
            yield _told("unused", f"{count:,} row{_s(count)}: {reason}", example, REMEDIES[reason])
    if report.sound < report.coverage_bound:
        share, bound = floor(report.sound * 1_000) / 1_000, report.coverage_bound
        yield _line("degraded", f"{share:.1%} of the rows are sound; {bound:.0%} must be")


def _waiting(report: MeasureReport) -> Iterator[str]:
    repeated, waiting = report.repeated, report.waiting
    if repeated:
        yield _told("repeated", f"{repeated:,} row{_s(repeated)}: {AGREE}", None, REMEDIES[AGREE])
    if waiting:
        yield _line("waiting", waiting_text(waiting, report.period))


def waiting_text(rows: int, period: Period) -> str:
    """Return that rows are not measured yet, and what they wait for."""
    verb = "waits" if rows == 1 else "wait"
    return f"{rows:,} row{_s(rows)} {verb} for a full period of {period.rows:,} rows"


def _refused(report: MeasureReport) -> Iterator[str]:
    account = report.account
    for outcome, reason in sorted(account.counts):
        if outcome == "rejected":
            count = account.counts[outcome, reason]
            example = account.examples.get((outcome, reason))
            remedy = REMEDIES.get(reason, "")
            yield _told("refused", f"{count:,} row{_s(count)}: {reason}", example, remedy)
    for path in sorted(account.files)[:MOST]:
        reason, remedy = account.files[path]
        yield _told("refused", _name(path), reason, remedy)
    if len(account.files) > MOST:
        yield _line("", f"and {len(account.files) - MOST:,} more files")


def _told(head: str, what: str, detail: object, remedy: str) -> str:
    told = what if detail is None else f"{what}; {display_name(str(detail), 300)}"
    return _line(head, f"{told} — {display_name(remedy, 300)}" if remedy else told)


def _kept(report: MeasureReport) -> Iterator[str]:
    for kept in report.kept[:MOST]:
        names = ", ".join(_name(name) for name in kept.sources[:3])
        more = f" and {len(kept.sources) - 3:,} more" if len(kept.sources) > 3 else ""
        yield _line(
            "kept",
            f"{period_text(report.period, kept.number)}: as it was measured from {kept.before:,} "
            f"rows, of which some of {names}{more} are gone; {kept.now:,} are there now — "
            f"{_remedy(report, kept)}",
        )
    if len(report.kept) > MOST:
        yield _line("", f"and {len(report.kept) - MOST:,} more periods")
    vanished = len(report.files.vanished)
    if vanished:
        yield _line(
            "gone",
            f"{vanished:,} file{_s(vanished)} since the last run, such as "
            f"{_name(report.files.vanished[0])}; what was measured from them stays, unless other "
            "files hold their rows",
        )


def _remedy(report: MeasureReport, kept: Kept) -> str:
    if report.period.rows is not None:
        return "--force measures all from what is there"
    start = period_text(report.period, kept.number)
    return f"--since {start} --force measures it and all later ones from what is there"


def _dropped(report: MeasureReport) -> Iterator[str]:
    """Forced runs alone drop periods."""
    dropped = report.dropped
    if dropped:
        first, last = (period_text(report.period, n) for n in (dropped[0], dropped[-1]))
        yield _line(
            "dropped",
            f"{len(dropped):,} period{_s(len(dropped))} ({first} to {last}), of which no row is "
            "there any more",
        )


def _older(report: MeasureReport) -> Iterator[str]:
    older = report.files.older
    if older:
        yield _line(
            "left out",
            f"older rows of {len(older):,} new or changed file{_s(len(older))}, such as "
            f"{_name(older[0])} — measure without --since",
        )


def _copies(report: MeasureReport) -> Iterator[str]:
    copies = report.files.copies
    for name in sorted(copies)[:MOST]:
        yield _line(
            "left out",
            f"{_name(name)}: the same bytes as {_name(copies[name])} — remove one, or tell their "
            "rows apart by an example_id",
        )
    if len(copies) > MOST:
        yield _line("", f"and {len(copies) - MOST:,} more files")


def _name(name: str) -> str:
    return display_name(name, 200)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
