"""What an explanation says: the verdict first, then the evidence, to the letter and the digit."""

import re

import pytest

from calhard import explain
from calhard.store import open_night
from tests.explain.nights import ALARMED, KINDS, golden

VERDICTS = {
    **dict.fromkeys(ALARMED, "alarmed"),
    "healthy": "healthy",
    "constant": "healthy",
    "transient": "healthy",
    "better": "better",
    "noisy": "half-blind",
    "unconfirmed": "unconfirmed",
    "insufficient": "blind",
    "conflict": "blind",
}
CONSTANTS = (0.001, 0.05, 0.5, 1, 2, 8, 10, 20, 95)
"""Numbers of rules: p and q of a finding, its least size, of 20 one, 8 times in 10, 95%."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_each_kind_of_series_is_as_it_was_read_and_agreed_on(nights, kind):
    file, metric = golden(kind)
    assert explain(nights, "churn", kind, metric).text + "\n" == file.read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_the_verdict_is_a_word_and_its_sentence_stands_first(nights, kind):
    found = explain(nights, "churn", kind, golden(kind)[1])
    assert found.verdict == VERDICTS[kind]
    text = " ".join(found.text.split("\n\n")[1].split("\n"))
    assert text == found.sentence
    silent = found.sentence.startswith("SILENT")
    assert silent == (found.verdict in {"healthy", "blind", "half-blind", "unconfirmed"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_the_text_is_one_of_the_tables_or_follows_from_them(nights, kind):
    metric = golden(kind)[1]
    only = {"model_id": "churn", "class_id": kind, "metric": metric}
    known = candidates(open_night(nights), only)
    text = explain(nights, **only).text.split("\n", 2)[2]
    numbers = re.findall(
        r"(?<![\w.])[-+±]?\d[\d,]*\.?\d*(?:e[-+]\d+)?(?![\w-])", without_names(text)
    )
    assert len(numbers) >= 4
    strange = [n for n in numbers if not any(told(n, value) for value in known)]
    assert strange == []


def without_names(text):
    """The text without instants, versions and ids, which are no numbers."""
    text = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "", text)
    return re.sub(r"version [\d.]+|Incident +\w+", "", text)


def candidates(night, only):
    """Every number that may be told of a series."""
    tables = ("evidence", "violations", "regressions", "improvements")
    rows = [row for name in tables for row in night.rows(name, **only).to_pylist()]
    found = [v for row in rows for v in row.values() if isinstance(v, int | float)]
    (evidence,) = night.rows("evidence", **only).to_pylist()
    found += [float(n) for n in re.findall(r"\d+(?:\.\d+)?", evidence["reason"])]
    steps = [r[n] for r in rows for n in ("change_magnitude", "smallest_detectable") if r.get(n)]
    for row in rows:
        if row.get("baseline_value") is not None:
            values = (evidence["week_value"], evidence["night_value"])
            steps += [v - row["baseline_value"] for v in values if v is not None]
    if evidence["reference_mean"] is not None:
        steps.append(evidence["analysis_mean"] - evidence["reference_mean"])
    bound, sd = evidence["slo_bound"], evidence["reference_sd"]
    found += steps
    found += [abs(s) / bound for s in steps if bound]
    found += [abs(s) / sd for s in steps if sd]
    found += [100 * v for v in found if v <= 10]
    hours = [(night_end() - r["onset"]).total_seconds() / 3600 for r in rows if r.get("onset")]
    return [*found, *hours, *(h / 24 for h in hours), *CONSTANTS]


def night_end():
    from tests.explain.nights import AS_OF

    return AS_OF


def told(token, value):
    """Whether a number as it is printed is this value, rounded."""
    plain = token.replace(",", "").lstrip("±+")
    mantissa, _, exponent = plain.partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
    slack = 0.500001 * 10.0**-digits
    return abs(float(plain) - value) <= slack or abs(float(plain) + value) <= slack


@pytest.mark.parametrize("kind", KINDS)
def test_lines_keep_to_the_width_that_is_asked_for(nights, kind):
    found = explain(nights, "churn", kind, "aece")
    assert max(map(len, found.told(70).split("\n"))) <= 96  # a table's line is not broken up
    assert max(map(len, found.text.split("\n"))) <= 96


def test_a_deployment_at_the_onset_is_named_beside_it_and_one_elsewhere_is_not(nights):
    assert "version 7.1 was deployed then" in explain(nights, "churn", "step", "aece").text
    assert "was deployed" not in explain(nights, "churn", "drift", "aece").text


def test_a_gate_is_named_where_the_evidence_shows_that_it_was_closed(nights):
    bump = explain(nights, "churn", "transient", "aece").text
    assert re.search(r"cycle +p = 4\.8e-07 +gate closed: ", bump)
    assert "gate closed" not in explain(nights, "churn", "step", "aece").text


def test_another_night_says_what_was_known_then(nights):
    then = explain(nights, "churn", "step", "aece", night="2026-05-11")
    assert then.night == "2026-05-11"
    assert then.verdict == "healthy"
    assert "2026-05-1" in then.text
    assert explain(nights, "churn", "step", "aece").verdict == "alarmed"


def test_a_model_is_told_in_a_table_the_worst_first_and_the_worst_in_full(nights):
    whole = explain(nights, "churn")
    assert whole.text + "\n" == (golden("step")[0].parent / "overview.txt").read_text("utf-8")
    words = [verdict.word for _, verdict in whole.overview]
    assert len(words) == 2 * len(KINDS)
    assert words[0] == "alarmed"
    assert words == sorted(words, key=["alarmed", "unconfirmed", "blind", "half-blind", "better",
                                       "healthy"].index)  # fmt: skip
    assert whole.facts is whole.overview[0][0]
    assert whole.verdict == "alarmed"


def test_a_class_is_told_like_a_model(nights):
    one = explain(nights, "churn", "healthy")
    assert [facts.metric for facts, _ in one.overview] == ["aece", "score_range_violations"]
    assert one.text.startswith("churn, night 2026-05-31: 2 healthy\n")


def test_the_picture_has_the_values_that_were_audited(nights):
    picture = explain(nights, "churn", "step", "aece").picture
    assert len(picture.value) == 840
    assert picture.onset is not None
    assert picture.forecast is None  # a step has parted the line it would follow
    assert explain(nights, "churn", "drift", "aece").picture.forecast is not None
    assert explain(nights, "churn", "healthy", "aece").picture.onset is None
    assert explain(nights, "churn", "stale", "aece").picture.forecast is None
