"""``calhard.toml`` read: what is accepted, and every error with its line."""

import tomllib
from pathlib import Path

import pytest

from calhard.errors import ConfigError
from calhard.plan import AuditPlan, PlanError

ORIGINAL = """
[calibration.hardening]
enabled = true
slo_monitoring = true
regression_detection = true
automated_response = true        # false: findings only, no actions planned
[calibration.hardening.slos]
aece_threshold = 0.01
dece_threshold = 0.01
alpha_threshold = 0.05
clamp_rate_threshold = 0.10
merged_bin_warn_threshold = 0.05
merged_bin_fail_threshold = 0.20
[calibration.hardening.alerts]
cooldown_seconds = 300
max_alerts_per_hour = 10
escalation_enabled = true
"""
DEFAULT = Path(__file__).with_name("default.toml")


def write(tmp_path, text, name="calhard.toml"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def problems(tmp_path, text):
    """What is wrong with a file, each as a person reads it."""
    with pytest.raises(PlanError) as error:
        AuditPlan.from_toml(write(tmp_path, text))
    assert error.value.exit_code == 2
    return [str(p).replace(str(tmp_path), "DIR") for p in error.value.problems]


def in_table(text):
    return f"[calibration.hardening]\n{text}"


def test_the_original_documents_file_is_accepted_verbatim_and_says_the_defaults(tmp_path):
    assert AuditPlan.from_toml(write(tmp_path, ORIGINAL)) == AuditPlan()


def test_an_empty_file_is_the_default_plan(tmp_path):
    assert AuditPlan.from_toml(write(tmp_path, "")) == AuditPlan()


def test_the_default_configuration_is_the_golden_one():
    # A changed default is a change for users: write the new text to default.toml and tell them.
    assert AuditPlan().to_toml() == DEFAULT.read_text(encoding="utf-8")


def test_the_golden_configuration_names_every_key_that_has_a_value():
    table = tomllib.loads(DEFAULT.read_text(encoding="utf-8"))["calibration"]["hardening"]
    empty = {"columns", "metrics", "overrides", "routes"}
    assert set(table) | empty == set(AuditPlan.model_fields)


def test_fleet_and_lists_of_models_may_stand_at_the_top_of_the_file(tmp_path):
    text = 'fleet = "cards"\nexpected_models = ["a", "b"]\nretired_models = ["old-*"]\n' + ORIGINAL
    plan = AuditPlan.from_toml(write(tmp_path, text))
    assert (plan.fleet, plan.expected_models) == ("cards", ("a", "b"))
    assert plan.retired(["old-1", "a"]).tolist() == [True, False]


@pytest.mark.parametrize("key", ["expected_models", "retired_models"])
@pytest.mark.parametrize("text", ["a\nb\n", "\ufeffb\r\n\r\n a \r\nb", "a\n\n\nb"])
def test_models_may_be_listed_in_a_file_beside_the_configuration(tmp_path, key, text):
    write(tmp_path, text, "models.txt")
    plan = AuditPlan.from_toml(write(tmp_path, in_table(f'{key} = "models.txt"')))
    assert sorted(getattr(plan, key)) == ["a", "b"]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    text = b"\xef\xbb\xbf" + ORIGINAL.replace("\n", "\r\n").encode()
    assert AuditPlan.from_toml(write(tmp_path, text)) == AuditPlan()


def golden():
    """Cases of errors.golden: a title, the file after it, after --- its problems."""
    text = Path(__file__).with_name("errors.golden").read_text(encoding="utf-8")
    for case in text.removeprefix("### ").split("\n### "):
        title, rest = case.split("\n", 1)
        given, told = rest.split("\n---\n")
        yield pytest.param(given, told.strip("\n").split("\n"), id=title)


@pytest.mark.parametrize(("text", "expected"), list(golden()))
def test_errors_name_line_key_and_remedy(tmp_path, text, expected, monkeypatch):
    monkeypatch.delenv("CALHARD_NOT_THERE", raising=False)
    assert problems(tmp_path, text) == expected


def test_a_file_in_another_encoding_is_an_error_on_its_line(tmp_path):
    text = b'[calibration.hardening]\nfleet = "caf\xe9"\n'
    assert problems(tmp_path, text) == ["line 2: not UTF-8 text; save the file as UTF-8"]


def test_a_file_nested_too_deeply_is_an_error(tmp_path):
    deep = f"a = {'[' * 20_000}{']' * 20_000}"
    assert problems(tmp_path, deep) == ["not TOML: nested too deeply"]


def test_an_empty_list_of_models_is_an_error(tmp_path):
    write(tmp_path, "\n \n", "models.txt")
    assert problems(tmp_path, 'retired_models = "models.txt"') == [
        "line 1: retired_models: DIR/models.txt lists no model; write one a line"
    ]


def test_a_list_of_models_that_is_not_text_is_an_error(tmp_path):
    write(tmp_path, b"\xff\xfe", "models.txt")
    assert problems(tmp_path, 'expected_models = "models.txt"') == [
        "line 1: expected_models: cannot read DIR/models.txt: it is not UTF-8 text"
    ]


def test_all_errors_come_at_once_in_the_order_of_their_lines(tmp_path):
    text = """typo = 1
[calibration.hardening]
fleet = "${env:HOME}"
enabld = true
slo_monitoring = 1
[calibration.hardening.slos]
alpha_threshold = -1.0
none = 1
[calibration.hardening.columns]
modl_id = "m"
[calibration.hardening.mlflow]
token = "${env:}"
"""
    found = problems(tmp_path, text)
    lines = [int(p.split(":")[0].removeprefix("line ")) for p in found]
    assert lines == [1, 3, 4, 5, 7, 8, 10, 12]


@pytest.mark.parametrize(
    ("name", "reason"), [("gone.toml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, name, reason):
    with pytest.raises(ConfigError, match=f"cannot read the configuration: {reason}"):
        AuditPlan.from_toml(tmp_path / name)


def test_the_message_counts_the_problems_and_names_the_file():
    with pytest.raises(PlanError) as error:
        AuditPlan.from_text("x = 1\ny = 2", "some.toml")
    first, *rest = str(error.value).split("\n")
    assert first == "some.toml: 2 problems"
    assert rest == [
        "  line 1: x: unknown key; known here: fleet, expected_models, retired_models, calibration",
        "  line 2: y: unknown key; known here: fleet, expected_models, retired_models, calibration",
    ]
