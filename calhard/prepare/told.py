"""A run of `prepare` in words, safe to show."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from calhard.history.account import REMEDIES
from calhard.prepare.result import PrepareReport
from calhard.wording.names import display_name

MOST = 10
"""Files that are told one by one."""
WIDTH = 11


def report_lines(report: PrepareReport) -> list[str]:
    """Return what was prepared, what was left out and why, and where it is."""
    out = shlex.quote(_name(str(report.out)))
    parts = f"{report.parts:,} file{_s(report.parts)}, {report.rows:,} rows"
    written = f"{len(report.written):,} of them written" if report.written else "none of them new"
    return [
        *_prepared(report),
        *alarming_lines(report),
        _line("history", f"{_name(str(report.out))}: {parts}, {written}"),
        _line("next", f"calhard audit {out} --out nights"),
    ]


def alarming_lines(report: PrepareReport) -> list[str]:
    """Return what was left out and why."""
    return [*_refused(report), *_vanished(report)]


def _prepared(report: PrepareReport) -> Iterator[str]:
    files = report.files
    if report.idle:
        yield _line("prepared", "nothing to do: no file is new or changed")
        return
    known = f", {files.unchanged:,} unchanged" if files.unchanged else ""
    yield _line(
        "prepared",
        f"{report.account.rows:,} row{_s(report.account.rows)} of {files.read:,} "
        f"file{_s(files.read)}: {files.new:,} new, {files.changed:,} changed{known}",
    )


def _refused(report: PrepareReport) -> Iterator[str]:
    account = report.account
    for outcome, reason in sorted(account.counts):
        count = account.counts[outcome, reason]
        example = account.examples.get((outcome, reason))
        what = f"{count:,} row{_s(count)}: {reason}"
        yield _told(what, example, REMEDIES.get(reason, ""))
    for path in sorted(account.files)[:MOST]:
        reason, remedy = account.files[path]
        yield _told(_name(path), reason, remedy)
    if len(account.files) > MOST:
        yield _line("", f"and {len(account.files) - MOST:,} more files")


def _vanished(report: PrepareReport) -> Iterator[str]:
    vanished = report.files.vanished
    if vanished:
        yield _line(
            "gone",
            f"{len(vanished):,} file{_s(len(vanished))} since the last run, such as "
            f"{_name(vanished[0])}; the rows stay — if they are there under another name, "
            "prepare everything anew with --force",
        )


def _line(head: str, text: str) -> str:
    return f"{head:<{WIDTH}}{text}"


def _told(what: str, detail: object, remedy: str) -> str:
    told = what if detail is None else f"{what}; {display_name(str(detail), 300)}"
    return _line("left out", f"{told} — {display_name(remedy, 300)}" if remedy else told)


def _name(name: str) -> str:
    return display_name(name, 200)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
