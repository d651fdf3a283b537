"""What is ordered: one night, pinned, named by fleet and night, without secrets."""

import shlex
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.cli.audit import command as audit
from calhard.errors import ConfigError, InputError
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, write_fleet
from calhard.submit.order import Order
from calhard.submit.places import everywhere, moment

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
MICROSECONDS = int(AS_OF.timestamp() * 1e6)


def order(plan=None, **changed):
    settings = {"history": "/h", "out": "/n", "plan": plan or AuditPlan(), "as_of_us": MICROSECONDS}
    return Order(**settings | changed)


def named(fleet):
    return order(AuditPlan(fleet=fleet)).submission_id


def test_a_job_is_named_by_fleet_and_night():
    assert named("Ranking EU").startswith("calhard-ranking-eu-")
    assert named("Ranking EU").endswith("-2026-05-31")
    assert order(as_of_us=MICROSECONDS + 1).submission_id.endswith("-2026-06-01")


def test_fleets_that_look_alike_have_names_of_their_own():
    fleets = ["ranking", "Ranking", "ranking ", "ränking", "r" * 99, "r" * 98, "日本", "$(rm -rf)"]
    assert len({named(fleet) for fleet in fleets}) == len(fleets)


@given(st.text(min_size=1, max_size=60))
def test_a_name_holds_nothing_that_a_shell_or_a_path_would_mind(fleet):
    name = order(AuditPlan().model_copy(update={"fleet": fleet})).submission_id
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(name) <= 60


def test_the_command_is_one_that_audit_takes_and_its_moment_is_pinned(tmp_path):
    baseline = tmp_path / "agreed values.csv"
    baseline.write_text("model_id,class_id,aece\nm,c,0.01\n")
    made = order(
        history="/shared/it's here",
        out="/shared/nights; rm",
        baseline=baseline,
        options=("--exit-zero", "--workers", "4"),
    )
    program, words = shlex.split(made.entrypoint)[:4], shlex.split(made.entrypoint)[4:]
    assert program == ["python", "-m", "calhard.cli.main", "audit"]
    made.pack(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        read = audit.make_context("audit", words).params
    assert read["history"] == "/shared/it's here"
    assert str(read["out"]) == "/shared/nights; rm"
    assert datetime.fromisoformat(read["as_of"]) == AS_OF
    assert (read["engine"], read["ray_address"], read["workers"]) == ("ray", "auto", 4)
    assert read["exit_zero"] is True
    assert (tmp_path / read["baseline"]).read_bytes() == baseline.read_bytes()
    assert (tmp_path / read["config"]).is_file()


def test_the_plan_that_is_sent_is_the_one_in_force(tmp_path):
    (tmp_path / "models.txt").write_text("a\nb\n")
    text = """
fleet = "ranking"
expected_models = ["a", "b*"]
[calibration.hardening.slos]
aece_threshold = 0.008
[[calibration.hardening.overrides]]
model = "a*"
aece_threshold = 0.02
"""
    (tmp_path / "own.toml").write_text(text)
    plan = AuditPlan.from_toml(tmp_path / "own.toml")
    sent = tmp_path / "sent"
    sent.mkdir()
    order(plan).pack(sent)
    again = AuditPlan.from_toml(sent / "calhard.toml")
    assert again.sha256() == plan.sha256()
    assert again.fleet == "ranking"


def test_who_is_told_stays_here_with_its_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("WEBHOOK", "https://hooks.example/of-somebody")
    text = '[calibration.hardening.routes.oncall]\nurl = "${env:WEBHOOK}"\n'
    plan = AuditPlan.from_text(text)
    assert plan.routes
    order(plan).pack(tmp_path)
    sent = (tmp_path / "calhard.toml").read_text(encoding="utf-8")
    assert "hooks" not in sent
    assert "WEBHOOK" not in sent
    assert AuditPlan.from_text(sent).sha256() == plan.sha256()


def test_the_driver_publishes_to_mlflow_with_secrets_that_it_looks_up_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SECRET", "hunter2")
    (tmp_path / "token").write_text("t0ken")
    text = """
[calibration.hardening.mlflow]
uri = "https://mlflow.example"
username = "calhard"
password = "${env:MLFLOW_SECRET}"
[calibration.hardening.mlflow.registry]
token = "${file:token}"
"""
    (tmp_path / "own.toml").write_text(text)
    (tmp_path / "sent").mkdir()
    order(AuditPlan.from_toml(tmp_path / "own.toml")).pack(tmp_path / "sent")
    sent = (tmp_path / "sent" / "calhard.toml").read_text(encoding="utf-8")
    assert "hunter2" not in sent
    assert "t0ken" not in sent
    again = AuditPlan.from_text(sent).mlflow
    assert (again.uri, again.username) == ("https://mlflow.example", "calhard")
    assert again.password.reveal() == "hunter2"
    assert again.registry.token.reveal() == "t0ken"


@pytest.mark.parametrize(
    "key",
    ['password = "hunter2"', 'token = "hunter2"', 'uri = "https://me:hunter2@mlflow.example"'],
)
def test_a_secret_that_stands_in_the_configuration_is_not_sent(key, tmp_path):
    plan = AuditPlan.from_text(f"[calibration.hardening.mlflow]\n{key}\n")
    with pytest.raises(ConfigError, match="submit sends no secrets; write") as raised:
        order(plan).pack(tmp_path)
    assert "hunter2" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scratch", ["", 'scratch = "here"'])
def test_nights_in_a_bucket_need_a_folder_that_all_nodes_share(scratch, tmp_path):
    plan = AuditPlan.from_text(f"[calibration.hardening.storage]\n{scratch}\n")
    with pytest.raises(ConfigError, match="a folder that every node sees"):
        order(plan, out="s3://bucket/nights").pack(tmp_path)
    shared = AuditPlan.from_text('[calibration.hardening.storage]\nscratch = "/shared/calhard"\n')
    order(shared, out="s3://bucket/nights").pack(tmp_path)
    assert 'scratch = "/shared/calhard"' in (tmp_path / "calhard.toml").read_text()
    order(plan, out="/shared/nights").pack(tmp_path)


def test_places_mean_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert everywhere("history") == str(tmp_path / "history")
    assert everywhere("/shared/history") == "/shared/history"
    assert everywhere("s3://bucket/history") == "s3://bucket/history"


def test_the_moment_is_the_newest_rows_and_a_history_out_of_reach_says_what_to_do(tmp_path):
    write_fleet(FleetSpec(models=1, classes=1, days=9, cadence="daily"), tmp_path / "fleet")
    found = moment(str(tmp_path / "fleet"), AuditPlan())
    assert datetime.fromtimestamp(found / 1e6, UTC) == AS_OF
    with pytest.raises(InputError, match="name the audit's moment: --as-of"):
        moment(str(tmp_path / "nowhere"), AuditPlan())
