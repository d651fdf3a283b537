"""A night becomes one run of MLflow, once."""

import json
import sys
from dataclasses import replace

import pytest

from calhard.cli.main import cli
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.client import connect
from calhard.sinks.mlflow.content import Point, night_content
from calhard.sinks.mlflow.deliver import deliver
from calhard.sinks.mlflow.experiment import experiment_of, name_of
from calhard.store import open_night
from tests.mlflow.gate import gate
from tests.mlflow.nights import (
    NIGHT,
    audited,
    complete,
    history,
    publishing,
    runs_of,
    slight,
    whole,
)

LONG = "x" * 9_000


def published(server, content, fleet, revision=1):
    return publishing(server, content, fleet, revision).publish()


def test_a_night_is_one_finished_run_that_holds_all_of_it_and_costs_a_hundred_requests_at_most(
    settings, server, tmp_path
):
    night = audited(tmp_path, "whole")
    with gate(server.uri) as (uri, counter):
        done = deliver(tmp_path, night, connect(settings, uri=uri))
        assert 10 < len(counter.seen) <= 100
    client = connect(settings).client
    (run,) = runs_of(client, "whole")
    assert (run.info.run_id, done.is_fresh) == (done.receipt.run_id, True)
    content = night_content(tmp_path, night, settings, "whole")
    whole(client, run, content)
    (tmp_path / "again").mkdir()
    content.write(tmp_path / "again")
    sizes = {f.name: f.stat().st_size for f in (tmp_path / "again").glob("*") if f.is_file()}
    there = {f.path: f.file_size for f in client.list_artifacts(run.info.run_id) if not f.is_dir}
    assert sizes == there
    tags = run.data.tags
    assert tags["calhard.manifest_sha"] == night.manifest_sha256
    assert (tags["calhard.fleet"], tags["calhard.audit_date"]) == ("whole", NIGHT)
    assert run.info.start_time == 1_000 * 1_780_272_000  # the audit's moment


def test_a_night_that_is_sent_again_stays_one_run_and_nothing_is_written(settings):
    server, content = connect(settings), slight()
    first = published(server, content, "again")
    again = published(server, content, "again")
    assert (first.is_fresh, again.is_fresh) == (True, False)
    assert first.run_id == again.run_id
    (run,) = runs_of(server.client, "again", every=True)
    whole(server.client, run, content)


def test_the_same_night_audited_elsewhere_stays_as_it_is_in_mlflow_and_that_is_said(
    settings, tmp_path
):
    server = connect(settings)
    here = audited(tmp_path / "here", "elsewhere")
    there = audited(tmp_path / "there", "elsewhere", seed=1)
    first = deliver(tmp_path / "here", here, server)
    second = deliver(tmp_path / "there", there, server)
    assert second.receipt.run_id == first.receipt.run_id
    assert (first.receipt.is_other, second.receipt.is_other) == (False, True)
    assert "from another audit of it" in second.told[-1]
    (run,) = runs_of(server.client, "elsewhere", every=True)
    assert run.data.tags["calhard.manifest_sha"] == here.manifest_sha256


def test_a_forced_revision_gets_a_run_of_its_own_and_the_older_one_says_what_it_is(settings):
    server = connect(settings)
    first = published(server, slight(), "forced")
    again = slight(seed=1)
    second = published(server, again, "forced", revision=2)
    late = published(server, slight(), "forced")
    assert late.run_id == first.run_id, "the older one, sent again, stays what it is"
    runs = {run.info.run_id: run for run in runs_of(server.client, "forced")}
    assert len(runs) == 2
    assert [run.info.run_id for run in complete(runs.values())] == [second.run_id]
    old = runs[first.run_id]
    assert old.info.run_name == f"{NIGHT} (revision 1)"
    assert old.data.tags["calhard.state"] == "superseded"
    assert old.info.status == "FINISHED"
    whole(server.client, runs[second.run_id], again)


def test_what_was_begun_with_other_words_is_thrown_away_and_nothing_is_doubled(settings):
    server = connect(settings)
    content = slight()
    other = replace(content, points=(replace(content.points[0], value=-1.0),))
    half = publishing(server, other, "words").begin([])
    server.client.log_param(half.info.run_id, next(iter(content.params)), "another")
    done = published(server, content, "words")
    (run,) = runs_of(server.client, "words")
    assert run.info.run_id == done.run_id != half.info.run_id
    whole(server.client, run, content)


def test_names_and_numbers_that_mlflow_refuses_or_changes_are_changed_visibly(settings):
    server = connect(settings)
    odd = {"a=b%|c": "1", "../up": "2", "k" * 300: "3", "nul": "a\x00b\ud800c"}
    values = (float("inf"), float("-inf"), float("nan"), 0.25)
    points = tuple(Point("x@y", value, 1_000, step) for step, value in enumerate(values))
    content = slight(params=odd | {"long": LONG}, points=points)
    content = replace(content, tags={"t": LONG}, description=LONG)
    published(server, content, "refused")
    (run,) = complete(runs_of(server.client, "refused"))
    assert len(run.data.params) == 5
    assert all(len(key) <= 250 for key in run.data.params)
    assert run.data.params["nul"] == "a\\x00b\\ud800c"
    assert run.data.params["long"].endswith("(cut)")
    assert len(run.data.params["long"]) == 6_000
    assert len(run.data.tags["mlflow.note.content"]) == 8_000
    assert list(run.data.metrics.values()) == [0.25]
    changed = run.data.tags["calhard.changed"]
    assert "metric x@y is named x_y-" in changed
    assert "is inf at step 0: left out" in changed
    assert "tag t had 9,000 characters" in changed


def test_an_experiment_in_the_trash_is_told_with_its_remedy(settings, tmp_path):
    server = connect(settings)
    night = audited(tmp_path, "trash")
    number = experiment_of(server, "calhard/trash")
    server.client.delete_experiment(number)
    with pytest.raises(Exception, match=rf"mlflow experiments restore -x {number}"):
        deliver(tmp_path, night, server)


def test_a_fleet_of_any_name_has_its_experiment(settings):
    server = connect(settings)
    name = "möwe 'x' \"y\" ../z " + "ü" * 600
    made = publishing(server, slight(), "möwe")
    place = experiment_of(server, name_of(settings, name))
    sent = replace(made, runs=replace(made.runs, experiment=place)).publish()
    found = server.client.get_experiment(place)
    assert found.name.startswith("calhard/möwe 'x'")
    assert len(found.name) == 500
    (run,) = server.client.search_runs([place])
    assert (run.info.run_id, sent.experiment) == (sent.run_id, place)


def test_an_audit_publishes_where_the_configuration_names_a_server_and_says_where(
    settings, server, tmp_path, capsys
):
    config = tmp_path / "calhard.toml"
    text = f'fleet = "cli"\n[calibration.hardening.mlflow]\nuri = "{server.uri}"\n'
    config.write_text(text)
    out = tmp_path / "out"
    args = ["audit", str(history()), "--out", str(out), "--config", str(config)]
    assert cli.main(args=[*args, "--workers", "1"]) == 1
    (run,) = complete(runs_of(connect(settings).client, "cli"))
    experiment = run.info.experiment_id
    page = f"{server.uri}/#/experiments/{experiment}/runs/{run.info.run_id}"
    told = capsys.readouterr().err
    assert f"night {NIGHT} is in MLflow: {page}" in told
    assert "mlflow." not in told, "MLflow's own log lines"
    (receipt,) = (out / ".mlflow").rglob("*.json")
    assert run.info.run_id in receipt.read_text()


def test_a_night_with_a_receipt_is_not_looked_for_again(settings, server, tmp_path, capsys):
    audited(tmp_path, "receipt")
    with gate(server.uri) as (uri, counter):
        args = ["audit", str(history()), "--out", str(tmp_path), "--fleet", "receipt"]
        assert cli.main(args=[*args, "--mlflow-uri", uri, "--quiet"]) == 1
        first = len(counter.seen)
        assert cli.main(args=[*args, "--mlflow-uri", uri, "--quiet"]) == 1
        assert first > 10
        assert len(counter.seen) == first
        (receipt,) = (tmp_path / ".mlflow").rglob("*.json")
        content = receipt.read_bytes()
        receipt.write_bytes(content[:20])
        assert cli.main(args=[*args, "--mlflow-uri", uri, "--quiet"]) == 1
        assert receipt.read_bytes() == content, "a damaged one counts as none, and is mended"
    assert len(runs_of(connect(settings).client, "receipt", every=True)) == 1


def test_a_variable_alone_publishes_nothing(server, settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    args = ["audit", str(history()), "--out", str(tmp_path), "--fleet", "variable", "--quiet"]
    assert cli.main(args=args) == 1
    assert not (tmp_path / ".mlflow").exists()
    assert runs_of(connect(settings).client, "variable") == []


def test_nights_that_wait_are_sent_oldest_first_and_then_none_waits(
    settings, server, tmp_path, capsys
):
    days = ["2026-05-31", "2026-05-30"]
    for day in days:
        midnight = 1_780_272_000 - 86_400 * (31 - int(day[-2:]))
        audited(tmp_path, "pending", as_of_us=midnight * 1_000_000)
    args = ["publish", str(tmp_path), "--mlflow-uri", server.uri]
    assert cli.main(args=[*args, "--pending"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["2026-05-30", "2026-05-31"]
    assert cli.main(args=[*args, "--pending"]) == 0
    assert capsys.readouterr().out == f"no night waits for {server.uri}\n"
    runs = complete(runs_of(connect(settings).client, "pending"))
    assert sorted(run.info.run_name for run in runs) == sorted(days)


def test_the_latest_night_is_sent_by_default_also_to_a_database(tmp_path, capsys):
    audited(tmp_path, "database")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert cli.main(args=["publish", str(tmp_path), "--mlflow-uri", uri]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    (run,) = complete(runs_of(connect(Mlflow(uri=uri)).client, "database"))
    assert told.out == f"night {NIGHT} is in MLflow: run {run.info.run_id} in {uri}\n"
    assert run.info.artifact_uri.startswith(tmp_path.as_uri())
    assert open_night(tmp_path).manifest_sha256 == run.data.tags["calhard.manifest_sha"]


def test_nights_in_a_bucket_are_sent_and_their_receipts_kept_there(
    settings, server, bucket, capsys
):
    out = bucket.uri("nights")
    audited(out, "bucket")
    args = ["publish", out, "--mlflow-uri", server.uri]
    assert cli.main(args=[*args, "--pending"]) == 0
    (run,) = complete(runs_of(connect(settings).client, "bucket"))
    (receipt,) = (c for name, c in bucket.tree("nights").items() if name.startswith(".mlflow/"))
    assert json.loads(receipt)["run_id"] == run.info.run_id
    capsys.readouterr()
    assert cli.main(args=[*args, "--pending"]) == 0
    assert capsys.readouterr().out == f"no night waits for {server.uri}\n"


def test_the_demo_sends_its_night_to_the_server_that_is_named_and_says_where(
    settings, server, tmp_path, capsys
):
    args = ["demo", "--out", str(tmp_path), "--quiet", "--mlflow-uri", server.uri]
    assert cli.main(args=args) == 0
    told = capsys.readouterr()
    assert told.err == ""
    (run,) = complete(runs_of(connect(settings).client, "demo"))
    page = f"{server.uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert told.out.splitlines()[-1].startswith(f"In MLflow     {page}")


def test_the_demo_goes_on_without_mlflow_and_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert cli.main(args=["demo", "--out", str(tmp_path), "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.splitlines()[-1].startswith("In MLflow     not installed; pip install")


def test_an_audit_without_mlflow_says_how_to_get_it_and_ends_as_it_would(
    tmp_path, capsys, monkeypatch
):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.setitem(sys.modules, name, None)
    args = ["audit", str(history()), "--out", str(tmp_path), "--quiet"]
    assert cli.main(args=[*args, "--mlflow-uri", "http://127.0.0.1:9"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "MLflow is not installed; pip install 'calhard[mlflow]'" in line
    assert line.endswith(f"calhard publish {tmp_path} --pending --mlflow-uri http://127.0.0.1:9")
