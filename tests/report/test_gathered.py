"""What an audit gathers for its page: read back from the night, of what is shown alone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.pipeline.staged import read_models
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, write_fleet
from calhard.store import open_night, published

SPEC = FleetSpec(models=10, classes=2, cadence="daily", broken=0.6, fleet_wide=0.0, seed=4)
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return write_fleet(SPEC, tmp_path_factory.mktemp("gathered") / "fleet")


def audit(fleet, out, *, before=0, **plan):
    run_audit(
        fleet,
        AuditPlan(**plan),
        out=out,
        engine=LocalEngine(1),
        as_of_us=SPEC.end_us - before * DAY,
    )
    return open_night(out)


def page_of(night):
    return (night.path / "report.html").read_text(encoding="utf-8")


def test_every_incident_has_a_card_with_a_plot(fleet, tmp_path):
    night = audit(fleet, tmp_path)
    incidents, page = night.table("incidents"), page_of(night)
    assert incidents.num_rows >= 2
    assert page.count("<article") == incidents.num_rows
    cards = page.split("<article")[1:]
    assert all('<path class="line"' in card for card in cards)


def test_a_slim_night_has_the_same_cards(fleet, tmp_path):
    whole = page_of(audit(fleet, tmp_path / "all"))
    slim = page_of(audit(fleet, tmp_path / "flagged", storage={"keep": "flagged"}))
    part = slice(whole.index('id="incidents"'), whole.index('id="heat"'))
    assert slim[slim.index('id="incidents"') : slim.index('id="heat"')] == whole[part]


def test_a_night_is_compared_with_the_last_one_before_it_alone(fleet, tmp_path):
    later = audit(fleet, tmp_path)
    assert "First night" in page_of(later)
    for before in (3, 2):
        audit(fleet, tmp_path, before=before)
    assert "Since night 2026-05-28" in page_of(published(tmp_path, "2026-05-29"))
    assert "First night" in page_of(published(tmp_path, "2026-05-28"))
    assert "First night" in page_of(
        published(tmp_path, later.night)
    )  # published once, never redone


def test_a_page_that_compares_has_the_same_bytes_wherever_it_is_made(fleet, tmp_path):
    pages = set()
    for out in (tmp_path / "one", tmp_path / "another"):
        audit(fleet, out, before=1)
        pages.add(page_of(audit(fleet, out)))
    (page,) = pages
    assert "Since night 2026-05-30" in page
    assert "ongoing" in page


@pytest.mark.parametrize("name", ["summary.json", "regressions.parquet", "manifest.json"])
def test_a_damaged_night_before_does_not_keep_the_next_from_being_published(fleet, tmp_path, name):
    before = audit(fleet, tmp_path, before=1)
    (before.path / name).write_bytes(b"{}")
    night = audit(fleet, tmp_path)
    assert night.verify() == []
    assert "Night 2026-05-30 was published but is damaged" in page_of(night)


def test_the_map_and_the_histograms_are_those_of_the_evidence(fleet, tmp_path):
    night = audit(fleet, tmp_path)
    evidence, page = night.table("evidence"), page_of(night)
    p = evidence.filter(pc.equal(evidence["metric"], "aece"))["p_level"].drop_null().to_numpy()
    small = int(np.sum(p < 0.05))
    assert f"{len(p):,} series; {small} of them have p below 0.05." in page
    for model in evidence["model_id"].unique().to_pylist():
        assert f'<th scope="row">{model}</th>' in page[page.index('id="heat"') :]


def test_models_are_read_back_whole_and_others_not_at_all(tmp_path):
    names = [f"model-{i:03d}" for i in range(200) for _ in range(50)]
    table = pa.table({"model_id": names, "value": np.arange(len(names))})
    half = len(names) // 2 + 20
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pq.write_table(table[:half], files[0], row_group_size=333)
    pq.write_table(table[half:], files[1], row_group_size=333)
    wanted = ["a", "model-000", "model-100", "model-199", "z"]
    parts = list(read_models(files, wanted, ["model_id", "value"]))
    found = pa.concat_tables(parts)
    assert found.num_rows == 3 * 50
    assert found["value"].to_pylist() == [
        i for i, name in enumerate(names) if name in {"model-000", "model-100", "model-199"}
    ]
    assert len(parts) <= 7


def test_models_without_statistics_are_found_too(tmp_path):
    table = pa.table({"model_id": ["x" * 9_000, "y"], "value": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    (found,) = read_models([tmp_path / "a.parquet"], ["y"], ["model_id", "value"])
    assert found["value"].to_pylist() == [2]


def test_nothing_wanted_reads_nothing(tmp_path):
    pq.write_table(pa.table({"model_id": ["x"], "value": [1]}), tmp_path / "a.parquet")
    assert list(read_models([tmp_path / "a.parquet"], [], ["model_id", "value"])) == []
