"""Pages to look at: of audited nights, and of hostile names."""

import pyarrow as pa
import pytest

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.report import NightReport, html_report
from calhard.simulate import FleetSpec, write_fleet
from tests.report.shown import exhibits
from tests.report.test_page import HOSTILE, hostile_night

SPEC = FleetSpec(models=12, classes=2, cadence="mixed", broken=0.5, fleet_wide=0.0, seed=3)
DAY = 86_400_000_000


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """The page of a night that follows another: some models broke, one never reported."""
    folder = tmp_path_factory.mktemp("ui")
    write_fleet(SPEC, folder / "fleet")
    plan = AuditPlan(expected_models=("model-0000", "model-gone"))
    for as_of in (SPEC.end_us - DAY, SPEC.end_us):
        engine = LocalEngine(1)
        report = run_audit(
            folder / "fleet", plan, out=folder / "nights", engine=engine, as_of_us=as_of
        )
    return report.path / "report.html"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A page of which every name is hostile, each in another way."""
    nights = [hostile_night(name) for name in HOSTILE]
    tables = {n: pa.concat_tables([one.tables[n] for one in nights]) for n in nights[0].tables}
    configuration = "".join(one.configuration for one in nights)
    report = NightReport(nights[0].night, tables, nights[0].summary, configuration)
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    text = html_report(report, exhibits(report))
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


@pytest.fixture
def visit(chromium):
    """Open a file at a size, in a colour scheme, with or without scripts; return the page."""
    contexts = []

    def open_page(path, *, width=1280, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.dialogs = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
