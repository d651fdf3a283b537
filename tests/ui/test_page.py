"""report.html as it is seen: on a desk, on a phone, in the dark, on paper, without scripts."""

import pytest

from calhard.store import open_night
from tests.report.test_page import HOSTILE

WHITE, BLACK = 0.8, 0.05
PHONE = {"width": 360, "height": 740}
LUMINANCE = """
const part = c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 };
const parse = s => s.match(/[\\d.]+/g).map(Number);
const shine = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
const ground = node => { for (; node; node = node.parentElement) {
  const c = parse(getComputedStyle(node).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
"""
PALE = (
    "() => {"
    + LUMINANCE
    + """
const found = [];
for (const node of document.querySelectorAll('body *')) {
  const words = [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
  if (!words || node.closest('desc, title, script') || !node.getClientRects().length) continue;
  const style = getComputedStyle(node), svg = node.closest('svg');
  const over = svg ? [...svg.querySelectorAll('rect.reference, rect.analysis, rect.night')]
    .map(r => parse(getComputedStyle(r).fill)) : [];
  const ink = shine(parse(svg ? style.fill : style.color));
  for (const back of [ground(node), ...over].map(shine)) {
    const ratio = (Math.max(ink, back) + .05) / (Math.min(ink, back) + .05);
    if (ratio < 4.5) found.push([node.tagName, node.className.baseVal ?? node.className,
      node.textContent.trim().slice(0, 30), ratio]);
  }
}
return found; }"""
)
BRIGHTNESS = "() => {" + LUMINANCE + "return shine(ground(document.body)); }"


def within_first_screen(page, locator):
    box = locator.bounding_box()
    size = page.viewport_size
    assert box["width"] > 0
    return box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]


def sideways(page):
    """Pixels by which the page is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
def test_the_verdict_stands_on_the_first_screen(visit, audited, size):
    page = visit(audited, **size)
    verdict = page.locator("h1")
    sentence = open_night(audited.parents[2]).summary["sentence"]
    assert sentence in verdict.inner_text()
    assert within_first_screen(page, verdict)


def test_what_changed_and_what_was_not_audited_stand_on_the_first_screen_of_a_desk(visit, audited):
    page = visit(audited)
    since = page.get_by_role("region", name="Since night 2026-05-30")
    missing = page.get_by_role("region", name="Not audited")
    assert within_first_screen(page, since)
    assert "ongoing" in since.inner_text()
    assert within_first_screen(page, missing)
    assert "1 model missing" in missing.inner_text()
    assert "Remedy: check that it reports" in missing.inner_text()


def test_an_incident_tells_what_where_since_when_how_sure_and_what_to_do(visit, audited):
    page = visit(audited)
    card = page.locator("article", has=page.locator("svg")).first
    for part in (card.locator(".what"), *card.locator("dt").all(), *card.locator("dd").all()):
        assert part.is_visible()
        assert part.inner_text().strip()
    told = [part.inner_text() for part in card.locator("dt").all()]
    assert told == ["Where", "Since", "How sure", "The runbook says"]
    assert "model-00" in card.locator(".what").inner_text()


def test_an_incidents_series_is_drawn_with_its_windows_bound_and_onset(visit, audited):
    page = visit(audited)
    drawn = page.locator("svg.plot", has=page.locator(".bound")).first
    box = drawn.bounding_box()
    assert box["width"] > 600
    assert box["height"] > 150
    for part in ("path.line", "rect.reference", "rect.analysis", "rect.night", "line.onset"):
        there = drawn.locator(part).bounding_box()
        assert max(there["width"], there["height"]) > 5, part
    width = {
        k: drawn.locator(f"rect.{k}").bounding_box()["width"] for k in ("reference", "analysis")
    }
    assert 3 < width["reference"] / width["analysis"] < 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_follow_the_readers_choice_and_all_text_can_be_read(visit, audited, scheme):
    page = visit(audited, color_scheme=scheme)
    light = page.evaluate(BRIGHTNESS)
    assert light > WHITE if scheme == "light" else light < BLACK
    assert page.evaluate(PALE) == []


def test_a_phone_never_scrolls_sideways(visit, audited, hostile):
    assert sideways(visit(audited, **PHONE)) <= 0
    assert sideways(visit(hostile, **PHONE)) <= 0


def test_text_in_a_plot_keeps_its_size_on_a_phone(visit, audited):
    page = visit(audited, **PHONE)
    assert page.locator("svg.plot text.tick").first.bounding_box()["height"] >= 10


def test_on_paper_all_is_shown_light_and_no_card_is_cut(visit, audited):
    page = visit(audited, width=718, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert page.evaluate(PALE) == []
    cards = page.locator("article").all()
    assert len(cards) == open_night(audited.parents[2]).table("incidents").num_rows
    for card in cards:
        assert card.is_visible()
        assert card.evaluate("node => getComputedStyle(node).breakInside") == "avoid"
    cut = "nodes => nodes.filter(n => n.scrollHeight > n.clientHeight + 1).length"
    assert page.locator(".scroll").evaluate_all(cut) == 0
    assert sideways(page) <= 0
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_the_page_asks_for_nothing_but_itself(visit, audited, scripts):
    page = visit(audited, java_script_enabled=scripts)
    assert page.asked == [audited.as_uri()]
    assert page.locator("h1").is_visible()
    assert page.locator("article svg.plot").first.is_visible()


def test_the_page_works_in_a_sandboxed_frame(visit, audited, tmp_path):
    host = tmp_path / "host.html"
    host.write_text('<iframe sandbox width="1000" height="700" src="page.html"></iframe>')
    (tmp_path / "page.html").write_bytes(audited.read_bytes())
    page = visit(host)
    frame = page.frame_locator("iframe")
    assert frame.locator("h1").is_visible()
    drawn = frame.locator("article svg.plot path.line").first.bounding_box()
    assert drawn["width"] > 300
    assert page.asked == [host.as_uri(), (tmp_path / "page.html").as_uri()]


@pytest.mark.parametrize("sandbox", ["allow-scripts", ""], ids=["scripts", "no scripts"])
def test_a_frame_without_an_origin_shows_all_and_with_scripts_its_links_lead_to_their_parts(
    visit, audited, tmp_path, sandbox
):
    text = audited.read_text(encoding="utf-8")
    host = tmp_path / "host.html"
    host.write_text(f'<iframe sandbox="{sandbox}" width="1200" height="700"></iframe>')
    page = visit(host)
    page.evaluate("text => { document.querySelector('iframe').srcdoc = text }", text)
    frame = page.frame_locator("iframe")
    assert frame.locator("h1").is_visible()
    assert frame.locator("article svg.plot path.line").first.bounding_box()["width"] > 300
    if sandbox:
        frame.get_by_role("link", name="Regressions").click()
        heading = frame.locator("h2#regressions")
        assert abs(heading.bounding_box()["y"] - page.locator("iframe").bounding_box()["y"]) < 40
    assert page.asked == [host.as_uri()]


def test_no_table_is_wider_than_a_small_desk(visit, audited, hostile):
    name = "n.getAttribute('aria-labelledby')"
    over = f"nodes => nodes.map(n => [{name}, n.scrollWidth - n.clientWidth])"
    wide = {}
    for path in (audited, hostile):
        found = dict(visit(path, width=1280).locator(".scroll:has(table)").evaluate_all(over))
        wide |= {(path == hostile, name): pixels for name, pixels in found.items()}
    assert {"violations", "regressions", "warnings", "coverage"} <= {name for _, name in wide}
    del wide[True, "heat"]  # it has a column for each of its many metrics
    assert {place: pixels for place, pixels in wide.items() if pixels > 0} == {}


def test_the_keyboard_reaches_the_incidents_and_every_table(visit, audited):
    page = visit(audited)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    named = "nodes => nodes.map(node => node.getAttribute('aria-labelledby'))"
    regions = set(page.locator("[role=region]").evaluate_all(named))
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-labelledby')"))
    assert len(regions) >= 4
    assert regions <= reached
    page.goto(audited.as_uri())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#incidents")


def test_a_screen_reader_finds_landmarks_named_pictures_and_headed_tables(visit, audited):
    page = visit(audited)
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("heading", level=1).count() == 1
    pictures = page.locator("svg[role=img]").all()
    assert pictures
    for picture in pictures:
        title, told = (
            picture.locator("title").text_content(),
            picture.locator("desc").text_content(),
        )
        assert page.get_by_role("img", name=title).count() >= 1
        assert len(told.split()) > 5
    assert page.locator("table").count() >= 3
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("thead th:not([scope=col]), tbody th:not([scope=row])").count() == 0


def test_hostile_names_do_nothing(visit, hostile):
    page = visit(hostile)
    assert page.dialogs == []
    assert page.asked == [hostile.as_uri()]
    assert page.locator("script").count() == 1
    made = "img, iframe, form, input, object, embed, link, base, [onerror], [onload]"
    assert page.locator(made).count() == 0
    assert page.locator("article").count() == len(HOSTILE)
    assert page.locator("article svg.plot").count() >= len(HOSTILE)
    links = page.locator("a").evaluate_all("nodes => nodes.map(n => n.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)
    for name in ("<script>alert(1)</script>", "{{7*7}}{% raw %}", "\\u202egnp.exe"):
        assert page.get_by_text(name).first.is_visible()
