"""Which registered model a model of the fleet is."""

import pytest

from calhard.errors import ConfigError
from calhard.plan import AuditPlan
from calhard.plan.registry import Registry
from calhard.registry.names import Wanted, wanted


def test_by_default_a_model_is_registered_under_its_own_name():
    assert wanted(Registry(), ["a", "b/c"]) == {"a": Wanted("a"), "b/c": Wanted("b/c")}


def test_the_last_glob_that_matches_counts_and_the_id_can_stand_in_the_name():
    registry = Registry(
        models={
            "*": "all",
            "fraud-*": "prod.{model_id}",
            "fraud-eu": "fraud_europe@eu",
            "*-shadow": "{model_id}@challenger",
        }
    )
    ids = ["x", "fraud-us", "fraud-eu", "fraud-shadow"]
    assert wanted(registry, ids) == {
        "x": Wanted("all"),
        "fraud-us": Wanted("prod.fraud-us"),
        "fraud-eu": Wanted("fraud_europe", "eu"),
        "fraud-shadow": Wanted("fraud-shadow", "challenger"),
    }


def test_in_service_is_the_first_alias_that_the_model_has():
    there = {"production": "3", "champion": "5", "eu": "7"}
    assert Wanted("m").serving(there, ("champion", "production")) == "champion"
    assert Wanted("m").serving({"production": "3"}, ("champion", "production")) == "production"
    assert Wanted("m", "eu").serving(there, ("champion",)) == "eu"
    assert Wanted("m", "us").serving(there, ("champion",)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aliases = []", "names no alias"),
        ('aliases = ["v 1"]', "is no alias"),
        ('aliases = ["latest"]', "is no alias"),
        ('models = {"a" = "x/y"}', "names no registered model"),
        ('models = {"a" = "@champion"}', "names no registered model"),
        ('models = {"a" = "x@cham pion"}', "is no alias"),
        ('max_age = "soon"', "not a duration"),
        ("max_tags = -1", "must be at least 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(text, told):
    with pytest.raises(ConfigError, match=told) as e:
        AuditPlan.from_text(f"[calibration.hardening.mlflow.registry]\n{text}\n")
    assert "line 2" in str(e.value)


def test_the_identity_of_actions_is_masked_wherever_it_is_printed(monkeypatch):
    monkeypatch.setenv("ACTS", "hush-hush")
    text = '[calibration.hardening.mlflow.registry]\nusername = "a"\npassword = "${env:ACTS}"\n'
    plan = AuditPlan.from_text(text)
    assert plan.mlflow.registry.password.reveal() == "hush-hush"
    assert "hush" not in plan.to_toml() + repr(plan)
