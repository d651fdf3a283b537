"""The sentence for someone who reads no further: true of every kind of night."""

import pytest

from tests.report.nights import summary

KINDS = {
    "quiet": (
        summary(),
        "Calibration of fleet prod is healthy: nothing confirmed in 10 audited series of 2 models.",
    ),
    "quiet, some young": (
        summary(insufficient=3),
        (
            "Calibration of fleet prod is healthy: nothing confirmed in 10 audited series of "
            "2 models. 3 series are too young to be judged."
        ),
    ),
    "quiet, some refused": (
        summary(files_rejected=1),
        (
            "Calibration of fleet prod is healthy: nothing confirmed in 10 audited series of "
            "2 models; 1 file and 0 rows were rejected."
        ),
    ),
    "one finding, some refused": (
        summary(regressions=1, incidents=1, rows_rejected=1),
        (
            "Calibration of fleet prod is healthy as a whole, but needs attention: 1 incident with "
            "1 confirmed regression in 10 audited series of 2 models; 0 files and 1 row were "
            "rejected."
        ),
    ),
    "one finding": (
        summary(regressions=1, incidents=1),
        (
            "Calibration of fleet prod is healthy as a whole, but needs attention: 1 "
            "incident with 1 confirmed regression in 10 audited series of 2 models."
        ),
    ),
    "many findings": (
        summary(healthy=False, regressions=3, violations=2, incidents=4),
        (
            "Calibration of fleet prod needs attention: 4 incidents with 3 confirmed "
            "regressions and 2 confirmed SLO violations in 10 audited series of 2 models."
        ),
    ),
    "violations alone": (
        summary(healthy=False, violations=1, incidents=1, ok=1, models=1),
        (
            "Calibration of fleet prod needs attention: 1 incident with 1 confirmed SLO "
            "violation in 1 audited series of 1 model."
        ),
    ),
    "unsound tests": (
        summary(healthy=False, reasons=["λ above 2 in aece/hourly (scan): many are failing"]),
        (
            "Nothing is confirmed in 10 audited series of 2 models of fleet prod, but: λ "
            "above 2 in aece/hourly (scan): many are failing."
        ),
    ),
    "degraded": (
        summary(
            healthy=False,
            share=0.9896,
            reasons=["coverage 98.9 % is under 99 %"],
            indeterminate=1,
            rows_rejected=20,
            files_rejected=2,
        ),
        (
            "Nothing is confirmed in 10 audited series of 2 models of fleet prod. Coverage "
            "is only 98.9%: 2 files unreadable, 20 rows rejected and 1 series indeterminate."
        ),
    ),
    "degraded, with findings": (
        summary(healthy=False, share=0.5, regressions=1, incidents=1, indeterminate=10),
        (
            "Calibration of fleet prod needs attention: 1 incident with 1 confirmed "
            "regression in 10 audited series of 2 models. Coverage is only 50.0%: 10 series "
            "indeterminate."
        ),
    ),
    "nothing audited": (
        summary(healthy=False, share=0.0, ok=0, insufficient=10),
        (
            "Nothing of fleet prod could be audited: no verdict, and that is not good news. "
            "Coverage is only 0.0%: 10 series too young."
        ),
    ),
}


@pytest.mark.parametrize(("about", "sentence"), KINDS.values(), ids=list(KINDS))
def test_every_kind_of_night_has_its_sentence(about, sentence):
    assert about["sentence"] == sentence


@pytest.mark.parametrize("about", [about for about, _ in KINDS.values()], ids=list(KINDS))
def test_no_night_is_called_healthy_without_audited_series_or_with_gaps(about):
    counts = about["counts"]
    if not counts["ok"] + counts["failed"] or not about["coverage"]["ok"] or about["reasons"]:
        assert "healthy" not in about["sentence"]
