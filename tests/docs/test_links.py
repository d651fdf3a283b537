"""Links lead somewhere, and nothing names a place that only one machine has."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from docs.make.generated import FOLDER, ROOT, pages

DOCUMENTS = [*pages(), ROOT / "README.md", *sorted((ROOT / "examples").rglob("*.md"))]
SOURCES = [*DOCUMENTS, *sorted(FOLDER.rglob("*.py")), *sorted((ROOT / "examples").rglob("*.py"))]
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|tmp|work|root|Users|mnt)/")
MARKDOWN = MarkdownIt("commonmark").enable("table")


def named(path):
    return str(path.relative_to(ROOT))


@cache
def tokens(path):
    return MARKDOWN.parse(path.read_text(encoding="utf-8"))


def links(path):
    for token in tokens(path):
        for child in token.children or ():
            if child.type in {"link_open", "image"}:
                yield child.attrs.get("href") or child.attrs["src"]


def anchors(path):
    """Return the anchors of a page's headings, as code hosts make them."""
    found = tokens(path)
    titles = [after.content for t, after in pairwise(found) if _is_heading(t)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _is_heading(token):
    return token.type == "heading_open"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_to_files_and_headings_that_exist(path):
    for link in links(path):
        if link.startswith(("https://", "http://")):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT.resolve()), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_index_lists_every_page():
    listed = {Path(link).name for link in links(FOLDER / "README.md")}
    assert listed == {page.name for page in pages()} - {"README.md"}


def test_every_example_is_named_by_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    for example in sorted((ROOT / "examples").glob("*.py")):
        assert f"examples/{example.name}" in text, example.name


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_path_of_one_machine(path):
    assert ABSOLUTE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", pages(), ids=named)
def test_every_page_has_one_title_and_tables_that_are_tables(path):
    found = tokens(path)
    assert [t.tag for t in found if _is_heading(t)].count("h1") == 1
    for token in found:
        if token.type == "inline":
            assert not token.content.startswith("|"), token.content[:80]
