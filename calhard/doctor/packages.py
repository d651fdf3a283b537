"""Python and the packages that calhard needs, or can use."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from calhard.doctor.finding import Finding, note, ok, wrong

OLDEST_PYTHON = (3, 11)
NEEDS = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*(?P<least>[\d.]+))?")
EXTRAS = {"matplotlib": ("plots", "explain --png and measure --plot")}
"""Packages by which something more is possible; a card and Ray are looked at by themselves."""


def packages() -> Iterator[Finding]:
    """Examine Python, calhard's own version, and what it depends on."""
    yield _python(sys.version_info[:2])
    try:
        yield from dependencies(requires("calhard") or [])
    except PackageNotFoundError:
        yield note("calhard", "runs from source, and is not installed", "pip install .")
    for package, (extra, use) in EXTRAS.items():
        found = installed(package)
        if found is None:
            yield note(package, f"not installed; {use} need it", f"pip install 'calhard[{extra}]'")
        else:
            yield ok(package, found)


def dependencies(needed: Sequence[str]) -> Iterator[Finding]:
    """Examine packages by their requirements, such as ``numpy>=2.1``; extras are left out."""
    for requirement in needed:
        if "extra ==" in requirement or (read := NEEDS.match(requirement)) is None:
            continue
        name, least = read["name"], read["least"]
        found = installed(name)
        if found is None:
            yield wrong(name, "not installed", f"pip install '{name}>={least or 0}'")
        elif least is not None and numbers(found) < numbers(least):
            told = f"{found} is older than {least}"
            yield wrong(name, told, f"pip install -U '{name}>={least}'")
        else:
            yield ok(name, found)


def installed(package: str) -> str | None:
    """Return the version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 2.1 of 2.1rc1."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _python(here: tuple[int, ...]) -> Finding:
    told = f"{platform.python_implementation()} {platform.python_version()}"
    if here < OLDEST_PYTHON:
        return wrong("python", told, "calhard needs Python 3.11 or newer")
    return ok("python", told)
