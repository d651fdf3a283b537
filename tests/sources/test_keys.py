"""What a metric's key means."""

import pytest

from calhard.plan import AuditPlan
from calhard.plan.toml import PlanError
from calhard.sources.keys import KeyMap, Meaning


def key_map(**metrics):
    return KeyMap.of(AuditPlan.model_validate({"mlflow": {"source": {"metrics": metrics}}}))


@pytest.mark.parametrize(
    ("key", "meanings"),
    [
        ("aece", [Meaning("aece")]),
        ("aece/fraud", [Meaning("aece", None, "fraud")]),
        ("aece/region/eu", [Meaning("aece", None, "region/eu")]),
        ("aece/", []),
        ("val_aece", []),
        ("AECE", []),
        ("total_samples", [Meaning("total_samples")]),
        ("total_samples/fraud", [Meaning("total_samples", None, "fraud")]),
        ("n_bins", [Meaning("n_bins")]),
        ("loss", []),
    ],
)
def test_without_a_mapping_a_key_is_the_metrics_name_with_or_without_a_class(key, meanings):
    assert list(key_map().meanings(key)) == meanings


@pytest.mark.parametrize(
    ("pattern", "key", "meanings"),
    [
        ("val/ece", "val/ece", [Meaning("aece")]),
        ("val_ece.class_{class_id}", "val_ece.class_3", [Meaning("aece", None, "3")]),
        ("val_ece.class_{class_id}", "val_eceXclass_3", []),
        ("{model_id}/ece/{class_id}", "a/b/ece/c", [Meaning("aece", "a/b", "c")]),
        ("{class_id}@{model_id}", "x@y@z", [Meaning("aece", "y@z", "x")]),
        ("{class_id} ece", "two\nlines ece", [Meaning("aece", None, "two\nlines")]),
        ("val/ece", "aece", []),
    ],
)
def test_a_mapped_metric_is_found_under_its_own_keys_alone(pattern, key, meanings):
    assert list(key_map(aece=pattern).meanings(key)) == meanings


def test_a_metric_may_be_logged_under_several_keys_and_a_key_may_fill_several_columns():
    keys = key_map(aece=["ece", "val/ece"], dece="ece")
    assert set(keys.meanings("ece")) == {Meaning("aece"), Meaning("dece")}
    assert keys.meanings("val/ece") == (Meaning("aece"),)


def test_declared_metrics_are_looked_for_too():
    plan = AuditPlan.model_validate({"metrics": {"brier": {}}})
    assert KeyMap.of(plan).meanings("brier/a") == (Meaning("brier", None, "a"),)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("metricz = 1", 'unknown key; did you mean "metrics"?'),
        ("model_id = 'tga:x'", 'model_id[1]: expected "tag:NAME", "param:NAME" or one of run_'),
        ("class_id = 'run_name'", 'class_id[1]: expected "tag:NAME" or "param:NAME"'),
        ("total_samples = 'n'", 'expected "metric:KEY", "param:NAME" or "tag:NAME"'),
        ("tags = 'class_id'", "class_id is a column of another meaning"),
        ("timestamp = 'end'", 'expected "metric" or "run"'),
        ("metrics.aece = '{class_id}'", 'needs text of its own, such as "ece/{class_id}"'),
        ("metrics.aece = 'x/{klass}'", "{klass} is unknown; known are {model_id} and {class_id}"),
        ("metrics.aece = 'x{class_id}{model_id}'", "a placeholder stands once, with text between"),
        ("metrics.ace = 'x'", "metrics.ace: no such metric; known: aece, dece"),
        ("metrics.total_samples = 'n'", 'source.total_samples = "metric:KEY"'),
    ],
)
def test_what_is_wrong_in_the_configuration_is_told_with_its_line(line, told):
    with pytest.raises(PlanError) as refused:
        AuditPlan.from_text(f"[calibration.hardening.mlflow.source]\n{line}\n")
    assert "line 2: calibration.hardening.mlflow.source." in str(refused.value)
    assert told in str(refused.value)
