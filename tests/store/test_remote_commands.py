"""The commands from end to end on an object store."""

import json
from functools import partial

import pytest

from calhard.cli.main import cli
from calhard.history import shards
from calhard.simulate import FleetSpec, write_fleet
from calhard.store import list_nights, open_night
from tests.faults.breaking import tree
from tests.faults.fleets import TIMED, audit, write_history
from tests.measure.logs import predictions
from tests.measure.logs import write as write_log
from tests.store.remote import DOWN, is_change

NAMES = [(name, "c") for name in "abdeg"]


@pytest.fixture
def run(capsys):
    """Call a command in this process; return (exit code, stdout, stderr)."""

    def call(*args):
        capsys.readouterr()
        code = cli.main(args=[str(a) for a in args], prog_name="calhard")
        return code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def history(bucket, tmp_path):
    """A history in a bucket."""
    bucket.send(write_history(tmp_path / "history", NAMES), "history")
    return bucket.uri("history")


def untimed(files):
    return {
        name: content for name, content in files.items() if name.rpartition("/")[2] not in TIMED
    }


@pytest.mark.slow
def test_audit_report_explain_and_prune_work_from_store_to_store(bucket, run, tmp_path):
    folder = write_fleet(FleetSpec(models=3, classes=1, seed=1), tmp_path / "history")
    bucket.send(folder, "history")
    source, out = bucket.uri("history"), bucket.uri("out")

    code, shown, _ = run("audit", source, "--out", out, "--workers", "2")
    here = run("audit", folder, "--out", tmp_path / "out", "--workers", "2")
    assert code == here[0]
    assert f"s3://{bucket.name}/out/nights/" in shown
    assert untimed(bucket.tree("out")) == untimed(
        {n: c for n, c in tree(tmp_path / "out").items() if n.startswith("nights/")}
    )
    assert run("report", out, "--verify") == (0, shown, "")
    assert run("report", out, "--weekly")[1] == run("report", tmp_path / "out", "--weekly")[1]
    night = open_night(out)
    model = night.table("evidence")["model_id"][0].as_py()
    told = run("explain", out, model)
    assert told == run("explain", tmp_path / "out", model)
    assert told[0] == 0
    code, _, err = run("audit", source, "--out", out)
    assert (code, "is published already" in err) == (here[0], True)
    assert run("audit", source, "--out", out, "--force", "-q")[0] == here[0]
    assert open_night(out).revision == 2
    assert json.loads(run("report", out, "--json")[1])["verdict"]
    assert run("prune", out, "--keep", "1d") == (0, "dropped 0 nights\n", "")
    assert run("prune", bucket.uri("nowhere"), "--keep", "1d")[0] == 4


def test_check_reads_a_history_on_a_store(history, run):
    code, shown, _ = run("check", history)
    assert code == 0
    assert "175 would be audited" in shown


def test_measure_reads_predictions_on_a_store(bucket, run, tmp_path):
    bucket.send(write_log(tmp_path / "log", all=predictions(rows=5)), "log")
    code, shown, _ = run(
        "measure", bucket.uri("log"), "--history", tmp_path / "a", "--workers", "1"
    )
    assert code == 0
    assert "2 models, 4 classes" in shown
    run("measure", tmp_path / "log", "--history", tmp_path / "b", "--workers", "1")
    same = [{n: c for n, c in tree(tmp_path / name).items() if n[0] != "_"} for name in "ab"]
    assert same[0] == same[1]
    code, _, err = run("measure", tmp_path / "log", "--history", bucket.uri("history"))
    assert (code, "not to a URI" in err) == (2, True)


def test_a_store_that_goes_away_while_the_night_is_put_is_told_and_the_run_is_gone_on_with(
    bucket, history, run, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        "calhard.history.open.ordered_shards", partial(shards.ordered_shards, target=1)
    )
    out, put = bucket.uri("out"), []

    def which(number, request):
        put.append("/nights/" in request and is_change(request))
        return any(put)

    with bucket.refusing(DOWN, which):
        code, _, err = run("audit", history, "--out", out, "--workers", "1")
    assert code == 4
    assert "run again when it is up" in err
    assert "nothing was published" in err
    assert list_nights(out) == []
    told = []
    audit(history, out, progress=lambda *now: told.append(now[:3]))
    assert ("resume", 5, 5) in told
    audit(tmp_path / "history", tmp_path / "out")
    assert untimed(bucket.tree("out")) == untimed(
        {n: c for n, c in tree(tmp_path / "out").items() if n.startswith("nights/")}
    )
    staged = {name for name in tree(tmp_path / "temporary") if "/.staging/" in name}
    assert staged == set()


def test_the_staging_folder_may_be_named_in_the_configuration(bucket, history, run, tmp_path):
    config = tmp_path / "calhard.toml"
    config.write_text(f'[calibration.hardening.storage]\nscratch = "{tmp_path}/scratch"\n')
    code, *_ = run("audit", history, "--out", bucket.uri("out"), "-c", config, "--workers", "1")
    assert code == 0
    assert (tmp_path / "scratch").is_dir()
    assert not list((tmp_path / "temporary").iterdir())


def test_a_bucket_that_does_not_exist_is_told_before_anything_is_computed(history, run):
    code, shown, err = run("audit", history, "--out", "s3://no-such-bucket/out?max_attempts=1")
    assert (code, shown) == (4, "")
    assert "no such bucket; create it, or check its name" in err
    assert "Traceback" not in err
    code, _, err = run("report", "s3://no-such-bucket/out")
    assert (code, "no such bucket" in err) == (4, True)


def test_a_cluster_needs_a_staging_folder_that_its_nodes_share(history, bucket, run):
    cluster = ("--engine", "ray", "--ray-address", "auto")
    code, _, err = run("audit", history, "--out", bucket.uri("out"), *cluster)
    assert (code, 'scratch = "/shared/calhard"' in err) == (2, True)
