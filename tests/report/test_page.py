"""report.html: whole, closed to the outside, and inert whatever the names are."""

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files

import pyarrow as pa
import pytest

from calhard.report import display_name, html_report, regression_report, weekly_slo_report
from calhard.report.tables import TABLES
from calhard.schema import NIGHT_TABLES
from tests.findings.tables import improvements, regressions, violations, warnings
from tests.report.nights import coverage, eventful, incident, night, summary
from tests.report.shown import exhibits
from tests.report.test_texts import terminal

VOID = {"meta"}
MADE = {"aria-labelledby", "class", "height", "id", "width", "x", "y"}
ALLOWED = {
    "html": {"lang"},
    "meta": {"charset", "name", "content", "http-equiv"},
    "a": {"class", "href"},
    "nav": {"aria-label"},
    "div": {"class", "tabindex", "role", "aria-labelledby"},
    "th": {"scope"},
    "h2": {"id", "tabindex"},
    "svg": MADE | {"preserveaspectratio", "role", "viewbox"},
    "line": {"class", "x1", "x2", "y1", "y2"},
    "text": MADE | {"dx"},
    "path": {"class", "d"},
    **{tag: {"aria-labelledby"} for tag in ("section", "article")},
    **{tag: {"id"} for tag in ("h3", "title", "desc")},
    **{tag: {"class"} for tag in ("p", "span", "table", "td", "ul")},
    **{
        tag: set()
        for tag in ("head", "style", "script", "body", "header", "main", "footer", "h1", "b", "li")
    },
    **{tag: set() for tag in ("caption", "thead", "tbody", "tr", "pre", "dl", "dt", "dd")},
    **{tag: set() for tag in ("figure", "figcaption")},
    "rect": MADE,
}
"""Every element and attribute that the page has; a name must never make another."""

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% raw %}",
    "\r\nBcc: everyone@example.org",
    "<!channel> <https://evil.example|click>",
    "=cmd()|' /C calc'!A0",
    '"} or up{x="',
    "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\x07",
    "\u202egnp.exe\u2066",
    "nul\x00inside",
    "new\nline\u2028and\u2029more\x85",
    "é" * 150,
    "e\u0301 and \u200bzero",
    "javascript:alert(1)",
    "../../etc/passwd",
    "]]>--><!-- -->",
    "😀",
]


class Page(HTMLParser):
    """Collects what a browser would see, and refuses what must not be there."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.words, self.attributes = [], [], [], []
        self.scripts = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        assert {name for name, _ in attrs} <= ALLOWED[tag], (tag, attrs)
        self.seen.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.words.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    @property
    def text(self):
        return "".join(self.words)


def sound(text):
    """A page that is well-formed and reaches for nothing outside."""
    page = Page(text)
    policy = [v for t, n, v in page.attributes if t == "meta" and v and "default-src" in v]
    assert page.seen.count("script") == 1
    script = "".join(page.scripts)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    sources = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
    assert policy == [f"{sources}; base-uri 'none'; form-action 'none'"]
    template = files("calhard.report").joinpath("templates/anchors.js")
    assert script == template.read_text().rstrip("\n")
    assert not {"link", "img", "iframe", "form"} & set(page.seen)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for _, name, value in page.attributes if name == "href"]
    labels = " ".join(value for _, name, value in page.attributes if name == "aria-labelledby")
    assert {link.removeprefix("#") for link in links} | set(labels.split()) <= set(ids)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    return page


def hostile_night(name):
    key = {"model_id": name, "class_id": name, "metric": name}
    tables = {
        "violations": violations(
            key | {"current_value": 0.5, "threshold": 0.1, "drift": 0.4, "window": "night"}
        ),
        "regressions": regressions(key | {"detail": name}),
        "improvements": improvements(key | {"regression_type": "SuddenJump"}),
        "warnings": warnings(
            key | {"predicted_value": 0.1, "interval_low": 0.0, "interval_high": 0.2}
        ),
        "incidents": incident(
            title=name,
            summary=name,
            suspected_factor=name,
            models=[name],
            classes=[name],
            metrics=[name],
        ),
        "coverage": coverage({"reason": name, "example": name, "remedy": name}),
    }
    about = summary(
        healthy=False, verdict="unhealthy", fleet=name, reasons=[name], regressions=1, incidents=1
    )
    about |= {"lambda": {f"{name}/hourly/level": 3.0}}
    return night(tables, about, f"fleet = {name}\nenabled = true\n")


def controls(text, allowed="\n"):
    return {c for c in text if display_name(c) != c} - set(allowed)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_inert_on_the_page(name):
    page, plain = (
        sound(html_report(report, exhibits(report)))
        for report in (hostile_night(name), hostile_night("plain"))
    )
    assert {"svg", "path", "figcaption"} <= set(page.seen)
    assert page.seen == plain.seen
    assert page.attributes == plain.attributes
    assert controls(page.text) == set()
    assert display_name(name, 40).rstrip("…") in page.text
    assert "49" not in page.text.replace(name, "")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_moves_nothing_in_the_texts_and_on_the_terminal(name):
    hostile, plain = hostile_night(name), hostile_night("plain")
    for write in (weekly_slo_report, regression_report):
        assert controls(write(hostile)) == set()
        assert len(write(hostile).splitlines()) == len(write(plain).splitlines())
    assert controls(terminal(hostile, where=name)) == set()


def test_a_lone_surrogate_is_shown_by_its_number_and_can_be_written():
    about = summary(fleet="a\ud800b", reasons=["\udfff"])
    report = night(about=about, configuration="fleet = '\ud800'")
    for text in (html_report(report), weekly_slo_report(report), regression_report(report)):
        assert "a\\ud800b" in text
        assert text.encode("utf-8")
    assert "a\\ud800b" in terminal(report)


def test_a_name_is_cut_to_what_a_line_can_hold():
    assert display_name("x" * 300) == "x" * 79 + "…"
    assert display_name("\u202e") == "\\u202e"
    assert display_name("tag\U000e0041") == "tag\\U000e0041"


@pytest.mark.parametrize("report", [night(), eventful()], ids=["quiet", "eventful"])
def test_a_page_is_well_formed_and_closed_to_the_outside(report):
    text = html_report(report)
    page = sound(text)
    assert text.startswith("<!doctype html>")
    for heading in ("Incidents", "SLO violations", "Regressions", "Early warnings", "Coverage"):
        assert heading in page.text
    assert report.summary["sentence"] in page.text
    assert report.configuration in page.text


def test_a_night_without_findings_says_none_everywhere():
    page = sound(html_report(night()))
    assert page.text.count("None.") == 7
    assert not {"table", "svg", "article"} & set(page.seen)
    assert "First night" in page.text
    assert "Nothing was left out" in page.text


def test_a_night_of_nothing_audited_is_not_called_healthy():
    about = summary(
        healthy=False,
        verdict="nothing audited",
        ok=0,
        share=0.0,
        insufficient=10,
        reasons=["nothing could be audited"],
    )
    about["compliance"] |= {"rate": None, "budget_left": None}
    about["health"] = {"INSUFFICIENT": 2}
    empty = night(about=about)
    page = sound(html_report(empty))
    assert "Nothing audited." in page.text
    shown = page.text[page.text.index("Nothing audited.") :]
    for text in (shown, weekly_slo_report(empty), regression_report(empty), terminal(empty)):
        assert "healthy" not in text.lower()


def test_more_than_two_hundred_rows_are_counted_and_their_file_named():
    rows = [{"model_id": f"m{i:03d}", "severity": "low"} for i in range(250)]
    rows[249] |= {"severity": "critical"}
    report = night(
        {
            "violations": violations(*rows),
            "incidents": pa.concat_tables([incident(title=f"i{i:03d}") for i in range(255)]),
        }
    )
    text = html_report(report)
    page = sound(text)
    assert "250 rows; the first 200 are shown, the rest is in violations.parquet" in page.text
    assert text.count("<article") == 50
    assert "255 rows; the first 50 have a card above; the next 200 are shown, the rest" in page.text
    assert "i249" in page.text
    assert "i250" not in page.text
    assert "m249" in page.text  # the most urgent are shown, not the first of the alphabet
    assert "m248" not in page.text


def test_the_pages_numbers_are_those_of_the_tables():
    report = eventful()
    page = sound(html_report(report))
    counts = report.summary["counts"]
    for name, noun in (
        ("incidents", "incidents"),
        ("regressions", "confirmed regressions"),
        ("violations", "confirmed violations"),
        ("warnings", "early warnings"),
    ):
        assert f"{counts[name]}{noun}" in page.text
    assert counts["regressions"] == report.tables["regressions"].num_rows


def test_every_column_of_the_page_is_one_of_its_table():
    for name, (_, columns) in TABLES.items():
        assert set(columns) <= set(NIGHT_TABLES[name].names), name


BROKEN = {"current_value": 0.05, "baseline_value": 0.02, "drift": 0.03, "threshold": 0.01}


def test_a_night_of_five_thousand_findings_stays_small():
    rows = [
        {
            "model_id": f"a-model-with-a-name-{i:04d}",
            "class_id": f"class-{i % 7}",
            "severity": ("critical", "severe", "moderate", "minor")[i % 4],
            "change_magnitude": 0.03,
            "detail": "the level moved by +0.03 (+4.0 sd), q = 1e-07",
        }
        for i in range(2_500)
    ]
    broken = [row | {"severity": "high"} | BROKEN for row in rows]
    ones = [
        incident(title=f"i{i}", models=[row["model_id"] for row in rows[i::300]], scope="fleet")
        for i in range(300)
    ]
    report = night(
        {
            "regressions": regressions(*rows),
            "violations": violations(*broken),
            "warnings": warnings(*({"model_id": row["model_id"]} for row in rows)),
            "incidents": pa.concat_tables(ones),
        }
    )
    text = html_report(report, exhibits(report))
    assert text.count('<svg class="plot"') == 90
    assert len(text.encode()) < 3_000_000
