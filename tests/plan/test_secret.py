"""Secrets are read when they are needed and shown nowhere."""

import copy
import json
import pickle

import pytest

from calhard.plan import AuditPlan, PlanError, Secret
from calhard.plan.effective import plan_from_effective
from calhard.plan.secret import MASK

VALUE = "s3cr3t-v4lue"
TEXT = """
[calibration.hardening.mlflow]
uri = "http://mlflow"
token = "Bearer ${env:CALHARD_TOKEN}"
[calibration.hardening.routes.ops]
urls = ["https://hooks/${file:hook.txt}", { inner = "${file:hook.txt}" }]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("CALHARD_TOKEN", VALUE)
    (tmp_path / "hook.txt").write_text(f"{VALUE}\n")
    (tmp_path / "calhard.toml").write_text(TEXT)
    return tmp_path / "calhard.toml"


def test_a_secret_is_revealed_on_demand_alone(file):
    plan = AuditPlan.from_toml(file)
    assert plan.mlflow.token.reveal() == f"Bearer {VALUE}"
    assert plan.routes["ops"]["urls"][0].reveal() == f"https://hooks/{VALUE}"
    assert plan.routes["ops"]["urls"][1]["inner"].reveal() == VALUE
    assert plan.mlflow.uri == "http://mlflow"


def test_no_way_of_printing_a_plan_shows_a_secret(file):
    plan = AuditPlan.from_toml(file)
    ways = {
        "repr": repr(plan),
        "str": str(plan),
        "f": f"{plan.mlflow}",
        "toml": plan.to_toml(),
        "dump": repr(plan.model_dump()),
        "json": plan.model_dump_json(),
        "pickle": pickle.dumps(plan).decode("latin-1"),
        "copy": repr(copy.deepcopy(plan)),
    }
    for way, text in ways.items():
        assert VALUE not in text, way
        assert "http://mlflow" in text, way
    for way in ("repr", "str", "f", "toml", "dump", "json", "copy"):
        assert MASK in ways[way], way
        assert "CALHARD_TOKEN" not in ways[way], way
    assert json.loads(plan.model_dump_json())["routes"]["ops"]["urls"] == [MASK, {"inner": MASK}]


def test_a_pickled_plan_reveals_its_secrets_where_they_can_be_read(file):
    again = pickle.loads(pickle.dumps(AuditPlan.from_toml(file)))
    assert again == AuditPlan.from_toml(file)
    assert again.mlflow.token.reveal() == f"Bearer {VALUE}"


def test_errors_about_a_table_of_secrets_do_not_repeat_what_stands_there(tmp_path, monkeypatch):
    monkeypatch.delenv("CALHARD_TOKEN", raising=False)
    text = f'[calibration.hardening]\nmlflow = "{VALUE}"\nroutes = ["{VALUE}"]\n'
    with pytest.raises(PlanError) as error:
        AuditPlan.from_text(text)
    assert VALUE not in str(error.value)
    assert [p.line for p in error.value.problems] == [2, 3]
    assert VALUE not in pickle.dumps(error.value).decode("latin-1")


def test_a_plan_error_survives_pickling():
    with pytest.raises(PlanError) as error:
        AuditPlan.from_text("x = 1", "o.toml")
    again = pickle.loads(pickle.dumps(error.value))
    assert (str(again), again.problems) == (str(error.value), error.value.problems)
    assert again.exit_code == 2


def test_a_secret_that_vanished_after_the_start_says_so(tmp_path):
    with pytest.raises(ValueError, match="cannot read the secret file"):
        Secret("${file:gone}", tmp_path).reveal()
    with pytest.raises(ValueError, match="not set"):
        Secret("${env:CALHARD_NOT_THERE}").reveal()


def test_equal_secrets_are_those_that_refer_to_the_same(tmp_path):
    assert Secret("${env:A}") == Secret("${env:A}")
    assert hash(Secret("${env:A}")) == hash(Secret("${env:A}"))
    assert Secret("${env:A}") != Secret("${env:B}")
    assert Secret("${file:a}", tmp_path) != Secret("${file:a}")


LITERAL = f"""
[calibration.hardening.mlflow]
uri = "http://bob:{VALUE}@mlflow"
username = "bob"
password = "{VALUE}"
[calibration.hardening.mlflow.registry]
token = "{VALUE}"
[calibration.hardening.routes.ops]
api_token = "{VALUE}"
url = "postgresql://host/db?sslpassword={VALUE}"
channel = "#ops"
"""


def test_a_password_that_stands_in_the_configuration_itself_is_shown_nowhere():
    plan = AuditPlan.from_text(LITERAL)
    assert plan.mlflow.uri.reveal() == f"http://bob:{VALUE}@mlflow"
    assert plan.mlflow.password.reveal() == plan.mlflow.registry.token.reveal() == VALUE
    assert plan.routes["ops"]["api_token"].reveal() == VALUE
    for text in (repr(plan), plan.to_toml(), repr(plan.model_dump()), plan.model_dump_json()):
        assert VALUE not in text
        assert MASK in text
        assert "#ops" in text
    assert plan.to_toml().count(MASK) == 5


def test_a_mask_that_is_read_back_is_told_as_one():
    with pytest.raises(PlanError, match="this is the mask that stands for a secret"):
        AuditPlan.from_text(AuditPlan.from_text(LITERAL).to_toml())


@pytest.mark.parametrize("uri", ["http://mlflow:5000/a", "sqlite:////home/a@b/mlflow.db"])
def test_an_address_without_a_log_in_is_no_secret(uri):
    plan = AuditPlan.from_text(f'[calibration.hardening.mlflow]\nuri = "{uri}"\n')
    assert plan.mlflow.uri == uri
    assert uri in plan.to_toml()


def test_what_decides_a_night_is_read_back_from_its_masked_configuration():
    keys = "[calibration.hardening.slos]\naece_threshold = 0.02\n"
    kept = plan_from_effective(AuditPlan.from_text(LITERAL + keys).to_toml())
    assert kept == AuditPlan.from_text(keys)
