"""``calhard check`` and ``calhard config``."""

import json
import shutil

import pytest

from calhard.plan import AuditPlan


def test_a_sound_history_ends_with_0(run, healthy):
    ended = run("check", healthy)
    assert ended.code == 0
    assert f"{healthy}: sound\n" in ended.out
    assert "2,520 would be audited" in ended.out


def test_a_history_with_rejects_ends_with_3_and_names_file_and_reason(run, healthy, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(healthy, folder)
    (folder / "more.parquet").write_bytes(b"PAR1 nothing PAR1")
    ended = run("check", folder)
    assert ended.code == 3
    assert "parts would be rejected" in ended.out
    assert "more.parquet" in ended.out


def test_a_history_of_which_nothing_is_left_ends_with_3(run, healthy):
    ended = run("check", healthy, "--as-of", "2001-01-01")
    assert ended.code == 3
    assert "nothing would be audited" in ended.out


def test_json_holds_the_same_verdict(run, healthy):
    sound = json.loads(run("check", healthy, "--json").out)
    assert sound["sound"] is True
    assert (sound["models"], sound["groups"], sound["files"]) == (3, 3, 1)
    empty = run("check", healthy, "--json", "--as-of", "2001-01-01")
    assert json.loads(empty.out)["sound"] is False
    assert empty.code == 3


def test_a_history_that_cannot_be_read_at_all_ends_with_4(run, tmp_path):
    ended = run("check", tmp_path / "nope")
    assert (ended.code, ended.out) == (4, "")


def test_config_prints_the_defaults(run):
    ended = run("config")
    assert (ended.code, ended.out, ended.err) == (0, AuditPlan().to_toml(), "")


def test_config_prints_what_is_in_force(run, tmp_path):
    (tmp_path / "c.toml").write_text('[calibration.hardening.windows]\nreference = "4w"')
    ended = run("config", tmp_path / "c.toml")
    assert 'reference = "28d"' in ended.out
    (tmp_path / "again.toml").write_text(ended.out)
    assert run("config", tmp_path / "again.toml").out == ended.out


def test_config_prints_no_secret(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CALHARD_TOKEN", "s3cr3t")
    (tmp_path / "c.toml").write_text('[calibration.hardening.mlflow]\ntoken="${env:CALHARD_TOKEN}"')
    ended = run("config", tmp_path / "c.toml")
    assert 'token = "********"' in ended.out
    assert "s3cr3t" not in ended.out


def test_config_prints_the_schema(run):
    assert json.loads(run("config", "--schema").out) == AuditPlan.json_schema()


@pytest.mark.parametrize("text", ["x = 1", "x = "])
def test_config_checks_its_file(run, tmp_path, text):
    (tmp_path / "c.toml").write_text(text)
    ended = run("config", tmp_path / "c.toml")
    assert (ended.code, ended.out) == (2, "")
    assert "c.toml: 1 problem\n  line 1: " in ended.err
