"""The plan's hash: the same for the same night, another for whatever changes one."""

import subprocess
import sys

import pytest

from calhard.plan import AuditPlan
from calhard.plan.sections import Regression, Slos, Storage, Windows

TABLE = "calibration.hardening"
CHANGES = {
    "fleet": '"other"',
    "expected_models": '["a"]',
    "retired_models": '["a"]',
    "enabled": "false",
    "slo_monitoring": "false",
    "regression_detection": "false",
    "automated_response": "false",
    "slos": {
        "aece_threshold": "0.02",
        "dece_threshold": "0.02",
        "alpha_threshold": "0.06",
        "clamp_rate_threshold": "0.2",
        "merged_bin_warn_threshold": "0.06",
        "merged_bin_fail_threshold": "0.3",
        "compliance_goal": "0.9",
    },
    "windows": {
        "reference": '"27d"',
        "analysis": '"8d"',
        "night": '"12h"',
        "max_slots": "900",
        "min_reference": "11",
        "min_analysis": "4",
        "horizon": '"2d"',
        "clock_skew": '"6m"',
        "timezone": '"Europe/Oslo"',
        "restart_on_deployment": "true",
    },
    "regression": {
        "significance_level": "0.04",
        "fdr": '"by"',
        "fdr_level": "0.04",
        "night_level": "0.04",
        "max_p": "0.002",
        "min_effect_size": "0.6",
        "max_history": "999",
        "heads": '["level"]',
        "head_weights": "[0.5, 0.2, 0.1, 0.1, 0.1]",
        "lambda_cap": "3.0",
        "warning_q": "0.2",
        "bad_tolerance": "0.1",
    },
    "storage": {"keep": '"flagged"', "coverage_bound": "0.9"},
    "columns": {"model_id": '"model"'},
    "metrics.brier": {"bound": '"zero"'},
}
UNTOLD = {"alerts", "measure", "mlflow", "routes", "overrides", "metrics"}
NOT_OF_THE_NIGHT = {"storage": {"scratch", "worker_memory_gib", "task_timeout"}}
SECTIONS = {"slos": Slos, "windows": Windows, "regression": Regression, "storage": Storage}


def changed_plans():
    for name, change in CHANGES.items():
        if isinstance(change, str):
            yield name, f"[{TABLE}]\n{name} = {change}"
        else:
            for key, value in change.items():
                yield f"{name}.{key}", f"[{TABLE}.{name}]\n{key} = {value}"
    for key in ("aece_threshold", "merged_bin_warn_threshold", "min_effect_size"):
        yield f"overrides.{key}", f'[[{TABLE}.overrides]]\nmodel = "a*"\n{key} = 0.01'


def test_every_setting_that_changes_a_night_changes_the_hash():
    hashes = {name: AuditPlan.from_text(text).sha256() for name, text in changed_plans()}
    hashes["nothing"] = AuditPlan().sha256()
    assert len(set(hashes.values())) == len(hashes)


def test_no_setting_was_forgotten_above():
    assert {name.split(".")[0] for name in CHANGES} | UNTOLD == set(AuditPlan.model_fields)
    for name, section in SECTIONS.items():
        assert set(CHANGES[name]) | NOT_OF_THE_NIGHT.get(name, set()) == set(
            section.model_fields
        ), name


@pytest.mark.parametrize(
    "text",
    [
        "[calibration.hardening.alerts]\ncooldown_seconds = 1",
        '[calibration.hardening.routes.ops]\nurl = "https://x"',
        '[calibration.hardening.mlflow]\nuri = "https://x"',
        '[calibration.hardening.storage]\nscratch = "/scratch/calhard"',
        "[calibration.hardening.storage]\nworker_memory_gib = 2.0",
        '[calibration.hardening.storage]\ntask_timeout = "5m"',
    ],
)
def test_who_is_told_and_what_computes_a_night_and_where_does_not_change_the_hash(text):
    plan = AuditPlan.from_text(text)
    assert plan != AuditPlan()
    assert plan.sha256() == AuditPlan().sha256()


def test_the_order_and_spelling_of_a_file_do_not_change_the_hash():
    one = """[calibration.hardening]
fleet = "a"
[calibration.hardening.windows]
reference = "4w"
night = "24h"
[calibration.hardening.columns]
model_id = "m"
class_id = "c"
"""
    other = """fleet = 'a'
calibration.hardening.columns = { class_id = "c", model_id = "m" }
[calibration.hardening.windows]
night = "1440 m"
reference = "672h"
"""
    assert AuditPlan.from_text(one).sha256() == AuditPlan.from_text(other).sha256()


def test_the_hash_is_the_same_in_every_process():
    program = "from calhard.plan import AuditPlan; print(AuditPlan().sha256())"
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=path | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {AuditPlan().sha256()}
