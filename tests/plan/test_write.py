"""The effective configuration written out gives the same plan again."""

import tomllib

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from calhard.plan import AuditPlan
from calhard.plan.write import toml_key, toml_value
from tests.plan.plans import plans

few = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # to explain takes minutes here
)


@given(plans)
@few
def test_a_plan_written_and_read_again_is_the_same_plan(plan):
    again = AuditPlan.from_text(plan.to_toml())
    assert again == plan
    assert again.sha256() == plan.sha256()


@given(plans)
@few
def test_what_is_written_names_every_key_that_is_set(plan):
    table = tomllib.loads(plan.to_toml())["calibration"]["hardening"]
    for name in ("slos", "alerts", "windows", "regression", "storage"):
        section = getattr(plan, name)
        given_ = {k for k in type(section).model_fields if getattr(section, k) is not None}
        assert set(table[name]) == given_


def test_the_default_configuration_written_to_a_file_is_the_default_plan(tmp_path):
    file = tmp_path / "calhard.toml"
    file.write_text(AuditPlan().to_toml(), encoding="utf-8")
    assert AuditPlan.from_toml(file) == AuditPlan()


def test_a_route_without_settings_is_written_too():
    plan = AuditPlan(routes={"ops": {}, "mail": {"to": {}}})
    assert AuditPlan.from_text(plan.to_toml()) == plan


@pytest.mark.parametrize("text", ["", "a", "q\"u\\o'te", "\x00\x1b\x7f\t\r\n", "é\u2028𐍈", "]#=,"])
def test_any_text_is_written_so_that_toml_reads_it_back(text):
    written = f"{toml_key(text)} = {toml_value([text, {text: text}])}"
    assert tomllib.loads(written) == {text: [text, {text: text}]}


@pytest.mark.parametrize("value", [True, 0, -3, 1e-05, 1e300, float("inf"), 0.1 + 0.2])
def test_numbers_are_written_exactly(value):
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
