"""``calhard audit``: exit codes, what goes to stdout and what to stderr."""

import json
import shutil

import pytest

from calhard.simulate import FleetSpec, write_fleet
from calhard.store import list_nights, open_night
from calhard.store.layout import Layout
from calhard.store.lock import held

NIGHT = "2026-05-31"


def audit(run, history, out, *more):
    return run("audit", history, "--out", out, "--workers", "1", *more)


@pytest.fixture
def degraded(healthy, tmp_path):
    """The healthy history with a damaged file beside it."""
    return with_damage(healthy, tmp_path)


def with_damage(history, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(history, folder)
    whole = (folder / "history.parquet").read_bytes()
    (folder / "more.parquet").write_bytes(whole[: len(whole) // 2])
    return folder


def test_a_healthy_night_ends_with_0_and_says_so(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path)
    assert ended.code == 0
    assert f"{NIGHT}  HEALTHY" in ended.out
    assert "is healthy: nothing confirmed in 21 audited series of 3 models." in ended.out


def test_quiet_is_silent_when_all_is_well(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path, "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert list_nights(tmp_path) == [NIGHT]


def test_findings_end_with_1_even_when_quiet_and_are_told(run, broken, tmp_path):
    ended = audit(run, broken, tmp_path, "--quiet")
    assert ended.code == 1
    assert ended.out.startswith(f"{NIGHT}  NEEDS ATTENTION\n")
    assert "model-0000" in ended.out
    assert ended.err == ""


def test_exit_zero_turns_findings_into_0_and_still_tells_them(run, broken, tmp_path):
    ended = audit(run, broken, tmp_path, "--exit-zero", "-q")
    assert ended.code == 0
    assert "model-0000" in ended.out
    assert open_night(tmp_path).summary["exit_code"] == 1


def test_too_little_coverage_ends_with_3(run, degraded, tmp_path):
    ended = audit(run, degraded, tmp_path / "out")
    assert ended.code == 3
    assert f"{NIGHT}  DEGRADED" in ended.out


def test_3_comes_before_1_and_exit_zero_does_not_hide_it(run, broken, tmp_path):
    ended = audit(run, with_damage(broken, tmp_path), tmp_path / "out", "--exit-zero", "-q")
    assert ended.code == 3
    assert open_night(tmp_path / "out").summary["counts"]["regressions"] > 0


def test_4_comes_before_3_where_nothing_can_be_read(run, tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    (history / "a.parquet").write_bytes(b"PAR1 no Parquet PAR1")
    ended = audit(run, history, tmp_path / "out", "--exit-zero")
    assert ended.code == 4
    assert "a.parquet" in ended.err
    assert ended.out == ""
    assert list_nights(tmp_path / "out") == []


def test_75_means_that_someone_else_writes_this_night(run, healthy, tmp_path):
    with held(Layout(tmp_path, NIGHT).lock, NIGHT):
        ended = audit(run, healthy, tmp_path)
    assert ended.code == 75
    assert f"night {NIGHT} is being written by process" in ended.err
    assert ended.out == ""
    assert audit(run, healthy, tmp_path).code == 0


def test_a_device_that_is_not_there_ends_with_2_before_any_work(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--device=gpu")
    assert ended.code == 2
    assert ended.err.startswith("calhard: --device gpu is not available in this version; use")
    assert not (tmp_path / "out").exists()


def test_an_address_of_ray_without_ray_ends_with_2_before_any_work(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--ray-address", "auto")
    assert ended.code == 2
    assert ended.err.startswith("calhard: --ray-address is for --engine ray; add that")
    assert not (tmp_path / "out").exists()


def test_a_wrong_configuration_ends_with_2_before_any_work(run, healthy, tmp_path):
    (tmp_path / "c.toml").write_text("a = 1\n[calibration.hardening]\nenabld = true")
    ended = audit(run, healthy, tmp_path / "out", "--config", tmp_path / "c.toml")
    assert ended.code == 2
    assert "c.toml: 2 problems\n  line 1: a: " in ended.err
    assert "line 3: calibration.hardening.enabld" in ended.err
    assert ended.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "stream"), [((), "out"), (("--json",), "err"), (("-q",), "err")]
)
def test_a_disabled_audit_ends_with_0_does_nothing_and_says_so(
    run, healthy, tmp_path, options, stream
):
    (tmp_path / "c.toml").write_text("[calibration.hardening]\nenabled = false")
    ended = audit(run, healthy, tmp_path / "out", "-c", tmp_path / "c.toml", *options)
    assert ended.code == 0
    said = "calhard is disabled by its configuration (enabled = false); nothing was done\n"
    assert (ended.out, ended.err) == ((said, "") if stream == "out" else ("", said))
    assert not (tmp_path / "out").exists()


def test_json_is_summary_json_and_nothing_else(run, broken, tmp_path):
    ended = audit(run, broken, tmp_path, "--json")
    assert json.loads(ended.out) == json.loads(open_night(tmp_path).text("summary.json"))
    assert json.loads(ended.out)["exit_code"] == ended.code == 1
    assert audit(run, broken, tmp_path, "--json", "--quiet").out == ended.out


def test_a_published_night_is_told_again_with_its_first_code(run, broken, tmp_path):
    first = audit(run, broken, tmp_path)
    again = audit(run, broken, tmp_path)
    assert (again.code, again.out) == (first.code, first.out)
    assert again.err == f"night {NIGHT} is published already; --force audits it again\n"
    other = audit(run, broken, tmp_path, "--fleet", "other")
    assert (other.code, other.out) == (first.code, first.out)
    said = f"night {NIGHT} is published already, with another configuration; --force audits it "
    assert other.err == said + "again\n"
    assert audit(run, broken, tmp_path, "--fleet", "other", "-q").err == other.err
    assert audit(run, broken, tmp_path, "-q").err == ""
    assert audit(run, broken, tmp_path, "--force", "-q").code == 1
    assert open_night(tmp_path).revision == 2


def test_a_published_night_of_another_input_is_told_even_when_quiet(run, healthy, tmp_path):
    history = tmp_path / "history"
    shutil.copytree(healthy, history)
    audit(run, history, tmp_path / "out", "-q")
    shutil.copy(history / "history.parquet", history / "more.parquet")
    again = audit(run, history, tmp_path / "out", "-q")
    assert (again.code, again.out) == (0, "")
    said = f"night {NIGHT} is published already, from another input; --force audits it again\n"
    assert again.err == said
    both = audit(run, history, tmp_path / "out", "-q", "--fleet", "other")
    assert "already, with another configuration and from another input; --force" in both.err


def test_json_on_stdout_has_no_character_that_a_terminal_obeys(run, tmp_path):
    name = "é\x9b31mb\u202ec\x7f"
    history = write_fleet(FleetSpec(models=1, classes=1, broken=0.0), tmp_path / "fleet")
    (history / f"{name}.parquet").write_bytes(b"PAR1")
    audit(run, history, tmp_path / "out", "-q", "--fleet", name)
    shown = [
        run("check", history, "--json"),
        run("report", tmp_path / "out", "--json"),
        run("explain", tmp_path / "out", "model-0000", "--json"),
    ]
    for ended in shown:
        assert json.loads(ended.out)  # and a program reads the same
        assert ended.out.isascii()
        assert "\x7f" not in ended.out


def test_the_fleet_can_be_named_on_the_command_line(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path, "--fleet", "cards")
    assert "Calibration of fleet cards is healthy" in ended.out


def test_an_audit_of_the_past_names_its_night(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path, "--as-of", "2026-05-30T00:00+02:00", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["as_of"] == "2026-05-29T22:00:00+00:00"
    assert list_nights(tmp_path) == ["2026-05-29"]


def test_results_go_to_stdout_and_progress_to_stderr(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path)
    lines = ended.err.splitlines()
    assert lines
    assert all(line.startswith("timestamp=") and " level=info event=" in line for line in lines)
    assert 'event="reading and assessing" shards=1 of=1 rows=2520' in ended.err
    assert "event=judging" in ended.err
    assert "timestamp=" not in ended.out
