"""A night that kept the evidence of findings alone still says what it can."""

import pytest

from calhard import explain
from calhard.errors import ConfigError
from tests.explain.nights import ALARMED, golden


@pytest.mark.parametrize("kind", [*ALARMED, "unconfirmed", "better"])
def test_a_finding_is_explained_as_if_all_was_kept(flagged, kind):
    file, metric = golden(kind)
    found = explain(flagged, "churn", kind, metric)
    assert found.text + "\n" == file.read_text("utf-8")
    assert found.picture.known.any()


def test_a_series_without_a_finding_says_that_it_was_not_kept(flagged):
    found = explain(flagged, "churn", "healthy", "aece")
    assert found.verdict == "unknown"
    assert found.picture is None
    assert found.sentence.startswith("SILENT: nothing was found. ")
    assert 'keep = "flagged"' in found.text
    assert "HEALTHY: 2 audited series" in found.text


def test_a_series_that_may_have_been_too_short_does_not_read_as_healthy(flagged):
    found = explain(flagged, "churn", "insufficient", "aece")
    assert found.sentence.startswith("SILENT, healthy or blind: 2 series of this class could not ")
    assert "2 too short" in found.text


def test_the_table_counts_what_was_not_kept(flagged):
    text = explain(flagged, "churn").text
    assert 'and 20 series without a finding, of which nothing was kept (keep = "flagged")' in text


def test_a_model_without_a_finding_says_why_there_is_nothing_to_show(flagged):
    with pytest.raises(ConfigError, match="no evidence of well in night 2026-05-31 was kept"):
        explain(flagged, "well")


def test_a_metric_that_never_was_is_still_an_error(flagged):
    with pytest.raises(ConfigError, match="no metric aecee"):
        explain(flagged, "churn", "step", "aecee")
