"""What a night says in MLflow: metrics, policy, description, tables; no server is asked."""

import csv
import json
import re
from datetime import date
from html import unescape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib import image

from calhard.errors import InputError
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.content import COPIED, night_content
from calhard.sinks.mlflow.listing import listing, write_csv
from calhard.sinks.mlflow.metrics import MOST_KEYS
from calhard.sinks.mlflow.names import LONGEST_TAG, escaped, key_of
from calhard.sinks.mlflow.params import LEFT_OUT, MOST, policy_params
from calhard.sinks.mlflow.table import SHOWN
from calhard.sinks.mlflow.view import TAG, run_link, runs_link, view_tag
from calhard.store import open_night
from tests.findings.tables import improvements, regressions, violations, warnings
from tests.mlflow import made
from tests.report.nights import eventful, incident
from tests.report.test_page import HOSTILE

FORMULAS = ["=1+1", "+1", "-1", "@sum", "\t=1", " =1", "＝1", "=cmd()|' /C calc'!A0"]


def content(out, night, **settings):
    return night_content(out, night, Mlflow(**settings), night.summary["fleet"])


def written(content, folder):
    folder.mkdir()
    content.write(folder)
    return {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}


def lines(content):
    """The points of every key, by step."""
    found = {}
    for point in content.points:
        found.setdefault(point.key, {})[point.step] = point.value
    return found


def test_every_metric_is_a_line_over_the_trailing_nights_that_ends_tonight(tmp_path):
    said = content(tmp_path, made.nights(tmp_path, "f", 4), trailing_nights=3)
    tonight = (made.LAST - date(1970, 1, 1)).days
    shown = lines(said)
    assert shown["audit/regressions"] == {tonight - 2: 10.0, tonight - 1: 40.0, tonight: 90.0}
    assert all(set(line) == {tonight - 2, tonight - 1, tonight} for line in shown.values())
    assert {p.timestamp_ms - 86_400_000 * (p.step + 1) for p in said.points} == {0}  # as_of
    sections = {key.partition("/")[0] for key in shown}
    assert sections == {"audit", "calibration", "fleet", "runbook", "timing"}


def test_a_fleet_of_very_many_metrics_has_sixty_keys_at_most(tmp_path):
    told = made.about("f", metrics=[f"metric-{i}" for i in range(80)])
    keys = {p.key for p in content(tmp_path, made.publish(tmp_path, None, told)).points}
    assert len(keys) == MOST_KEYS
    assert {"audit/incidents", "fleet/coverage", "calibration/metric-0_median"} <= keys


def test_nights_of_another_fleet_damaged_ones_and_later_ones_are_no_part_of_the_lines(tmp_path):
    made.nights(tmp_path, "f", 4)
    damaged = tmp_path / "nights" / "night=2026-05-29" / "summary.json"
    damaged.write_text("{}")
    other = tmp_path / "nights" / "night=2026-05-28"
    text = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(text.replace("calhard.toml", "gone.toml"))
    made.publish(tmp_path, None, made.about("another", date(2026, 5, 27)))
    said = content(tmp_path, open_night(tmp_path, "2026-05-30"))
    steps = {
        (date.fromordinal(p.step + date(1970, 1, 1).toordinal())).isoformat() for p in said.points
    }
    assert steps == {"2026-05-28", "2026-05-30"}


def test_a_number_that_is_none_is_no_point(tmp_path):
    told = made.about("f", metrics=("aece",))
    told["compliance"] = told["compliance"] | {"rate": None}
    told["metrics"]["aece"]["median"] = None
    keys = {p.key for p in content(tmp_path, made.publish(tmp_path, None, told)).points}
    assert not {"fleet/slo_compliance", "calibration/aece_median"} & keys
    assert {"fleet/coverage", "calibration/aece_p90"} <= keys


@pytest.mark.parametrize(
    ("share", "told"), [(0.29, 0.29), (0.9951923, 0.99519), (0.9999999, 0.99999), (1.0, 1.0)]
)
def test_a_share_is_short_and_one_below_1_never_reads_as_1(share, told, tmp_path):
    night = made.publish(tmp_path, None, made.about("f", coverage={"share": share, "ok": True}))
    (line,) = lines(content(tmp_path, night))["fleet/coverage"].values()
    assert line == told


def test_the_policy_is_told_key_by_key_without_where_results_go(tmp_path):
    params = content(tmp_path, made.nights(tmp_path, "f", 1)).params
    assert params == {"slos.aece_threshold": "0.01"}


def test_a_policy_that_mlflow_would_refuse_or_cut_is_renamed_and_cut_and_says_so():
    rules = "".join(f'"a{i}" = {i}\n' for i in range(MOST + 5))
    text = f'[calibration.hardening]\nlong = "{"x" * 9_000}"\n"a=b" = 1\n{rules}'
    params = policy_params(text)
    assert params["long"].endswith(" … (cut)")
    assert len(params["long"]) == 6_000
    (odd,) = [key for key in params if key.startswith("a_b-")]
    assert params[odd] == "1"
    assert params[LEFT_OUT] == "7"


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 400, "a//b", "../up", "a[b](c)", "é", "", "a,b"])
def test_a_key_is_what_mlflow_takes_and_no_two_names_share_one(name):
    key = key_of(name)
    assert re.fullmatch(r"[A-Za-z0-9_\-. /]{1,250}", key)
    assert ".." not in key.split("/")
    assert key_of(name) == key
    assert key_of(name + "\x00") != key


def test_the_description_says_the_verdict_first_then_counts_incidents_and_how_to_go_on(tmp_path):
    ones = pa.concat_tables([incident(title=f"model-{i}: aece") for i in range(12)])
    night = made.nights(tmp_path, "f", 2, {"incidents": ones})
    text = content(tmp_path, night).description
    first = "\n".join(text.splitlines()[:4])
    assert first.startswith("**UNHEALTHY**")
    assert unescape(first).strip().endswith(night.summary["sentence"])
    assert "| confirmed regressions | 10 | 0 |" in text.replace("&nbsp;", "")
    assert text.count("- **critical** model-") == 10
    assert "calhard explain OUT churn --night 2026-05-31" in text


def test_a_description_is_never_longer_than_what_mlflow_keeps(tmp_path):
    ones = pa.concat_tables([incident(title=sign * 300) for sign in "<&[]`*#!|>" * 2])
    reasons = ["<" * 300] * 9
    night = made.publish(tmp_path, {"incidents": ones}, made.about("f", reasons=reasons))
    text = content(tmp_path, night).description
    assert len(text) == LONGEST_TAG
    assert text.endswith("(cut)")


@pytest.mark.parametrize(
    "name", [*HOSTILE, "**b** _i_ `c`", "https://evil.example", "www.evil.example", "a | b", "# x"]
)
def test_a_name_is_no_markup(name):
    text = escaped(name)
    assert not re.search(r"[<>\[\]`*#|!@\\~\"]|://|www\.", re.sub(r"&#\d+;", "", text))
    assert not re.search(r"&(?!#\d+;)", text)


def test_a_hostile_name_makes_neither_a_line_nor_a_cell_of_the_description(tmp_path):
    for k, name in enumerate(HOSTILE):
        said = []
        for fleet in ("plain", name):
            out = tmp_path / f"{k}-{fleet == name}"
            one = incident(title=fleet, models=[fleet])
            said.append(
                content(out, made.publish(out, {"incidents": one}, made.about(fleet))).description
            )
        plain, hostile = said
        assert len(plain.splitlines()) == len(hostile.splitlines())
        assert plain.count("|") == hostile.count("|")


def test_the_artifacts_are_the_nights_own_files_and_what_is_made_of_them(tmp_path):
    night = made.nights(tmp_path / "out", "f", 2, eventful().tables)
    files = written(content(tmp_path / "out", night), tmp_path / "run")
    figures = {f"figures/{name}.png" for name in ("fleet", "nights", "soundness")}
    assert set(files) == {*COPIED, "findings.json", "findings.csv", *figures}
    for name in COPIED:
        assert files[name].read_bytes() == (night.path / name).read_bytes()
    for name in figures:
        height, width, _ = image.imread(files[name]).shape
        assert (width, height > 300) == (1320, True)


def test_a_night_of_an_older_version_says_what_it_has(tmp_path):
    told = made.about("f")
    del told["metrics"]
    said = content(tmp_path / "out", made.publish(tmp_path / "out", None, told, policy=""))
    files = written(said, tmp_path / "run")
    assert said.params == {}
    assert "calhard.toml" not in files
    assert {"report.html", "findings.csv", "figures/soundness.png"} <= set(files)
    assert "audit/incidents" in lines(said)


def test_a_file_that_has_changed_is_no_artifact(tmp_path):
    night = made.nights(tmp_path / "out", "f", 1)
    said = content(tmp_path / "out", night)
    path = night.path / "evidence.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"evidence\.parquet has changed since it was published"):
        written(said, tmp_path / "run")


def test_the_table_holds_the_five_hundred_most_urgent_findings_and_the_csv_all(tmp_path):
    tables = made.found(2_000)
    files = written(
        content(tmp_path / "out", made.nights(tmp_path / "out", "f", 1, tables)), tmp_path / "run"
    )
    table = json.loads(files["findings.json"].read_text())
    assert len(table["columns"]) == 6
    assert len(table["data"]) == SHOWN
    assert {row[0] for row in table["data"]} == {"critical", "severe"}
    with files["findings.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2_000
    assert [row["model_id"] for row in rows[:SHOWN]] == [row[1] for row in table["data"]]
    assert rows[0]["onset"].endswith("Z")


def test_findings_are_listed_by_urgency_whatever_their_kind():
    tables = {
        "regressions": regressions({"severity": "minor"}, {"severity": "severe"}),
        "violations": violations(
            {"severity": "critical"},
            {"severity": "critical", "verdict": "unconfirmed"},
            {"severity": "high", "direction": "better"},
        ),
        "warnings": warnings({"warning_level": "yellow"}, {"warning_level": "red"}),
        "improvements": improvements({}),
    }
    rows = listing(tables).select(["finding", "severity", "verdict"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("SLO violation", "critical", "violated"),
        ("regression", "severe", None),
        ("regression", "minor", None),
        ("early warning", "red", None),
        ("early warning", "yellow", None),
        ("SLO violation", "critical", "unconfirmed"),
        ("SLO violation", "high", "violated"),
        ("improvement", "moderate", None),
    ]


def test_no_cell_of_the_csv_is_a_formula_and_every_name_can_be_read_back(tmp_path):
    names = [*FORMULAS, *HOSTILE, "plain", 'quoted "name"', "a,b"]
    tables = {"regressions": regressions(*({"model_id": name} for name in names))}
    empty = {"violations": violations(), "warnings": warnings(), "improvements": improvements()}
    write_csv(listing(tables | empty), tmp_path / "findings.csv")
    with (tmp_path / "findings.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["model_id"] for row in csv.DictReader(file)]
    assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@＝＋－＠")]
    assert [cell.removeprefix("'") for cell in cells] == names
    assert sum(cell.startswith("'") for cell in cells) == len(FORMULAS) + 2  # and of HOSTILE


def test_what_is_not_finite_is_a_word_in_the_csv_and_never_a_gap_in_the_table(tmp_path):
    row = {"baseline_value": float("nan"), "current_value": float("inf")}
    tables = {"regressions": regressions(row)}
    night = made.nights(tmp_path / "out", "f", 1, tables)
    files = written(content(tmp_path / "out", night), tmp_path / "run")
    assert json.loads(files["findings.json"].read_text())["data"][0][-1] == "nan→inf"


def test_all_series_are_an_artifact_as_they_were_published(tmp_path):
    told = made.about("f", models=30)
    night = made.publish(tmp_path / "out", None, told, evidence=made.evidence(30))
    files = written(content(tmp_path / "out", night), tmp_path / "run")
    assert pq.read_metadata(files["evidence.parquet"]).num_rows == 30 * 10 * len(made.METRICS)


def test_the_lineage_names_the_history_by_its_digest(tmp_path):
    dataset = content(tmp_path, made.nights(tmp_path, "f", 1)).dataset
    assert (dataset.name, dataset.digest) == ("history of f", "b" * 36)
    assert json.loads(dataset.profile)["rows"] == 8_400
    assert json.loads(dataset.source)["as_of"] == "2026-06-01T00:00:00+00:00"


def test_what_a_night_says_depends_on_nothing_but_the_night_and_those_before_it(tmp_path):
    night = made.nights(tmp_path, "f", 3, eventful().tables)
    assert content(tmp_path, night) == content(tmp_path, night)


def test_the_view_shows_complete_nights_and_can_be_read_by_old_and_new_servers():
    key, value = view_tag()
    assert key == TAG
    assert len(value) < 5_000
    envelope = json.loads(value)
    state = json.loads(envelope["state"])
    assert state["searchFilter"] == "tags.\"calhard.state\" = 'complete'"
    assert "tags.`calhard.verdict`" in state["selectedColumns"]
    assert state.items() <= envelope.items()


def test_the_links_lead_to_the_pages_of_trained_models_and_hold_no_more_than_ids():
    assert runs_link("http://h:1/", "7") == (
        "http://h:1/#/experiments/7/runs?workflowType=machine_learning"
        "&viewStateShareKey=calhard-nights"
    )
    assert run_link("http://h:1", "7", "a/b").endswith(
        "#/experiments/7/runs/a%2Fb?workflowType=machine_learning"
    )
