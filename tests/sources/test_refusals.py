"""What is no history is refused in words that a person can act on, and nothing is published."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from calhard.cli.main import cli
from calhard.errors import ConfigError, InputError
from calhard.plan import AuditPlan
from calhard.sources import fetched
from calhard.sources.refusals import suggested
from tests.sources.teams import Team, daily


@contextmanager
def answering(status, body, kind="text/html", after=0):
    """Serve one answer to everybody; ``after`` requests of the version are answered properly."""
    left = [after]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            good = self.path == "/version" and left[0] > 0
            left[0] -= good
            told = b"3.17.0" if good else body
            self.send_response(200 if good else status)
            self.send_header("Content-Type", "text/plain" if good else kind)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_POST = do_GET  # noqa: N815  # http.server's name

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{served.server_port}"
        finally:
            served.shutdown()


def told(team, plan=None, source=None):
    with pytest.raises(InputError) as refused, fetched(source or team.source, plan or team.plan()):
        pass
    assert refused.value.exit_code == 4
    return str(refused.value)


def test_an_experiment_that_is_not_there_offers_near_names(server):
    Team(server, "payments-fraud")
    near = told(Team(server, "payments-churn"), source="mlflow:payments-frod")
    assert near.startswith("mlflow:payments-frod: MLflow at http://127.0.0.1:")
    assert 'no such experiment; did you mean "mlflow:payments-fraud"' in near
    assert "it has " in told(Team(server, "z-other"), source="mlflow:qqqqqqqq")
    assert "no such experiment" in told(Team(server, "z-third"), source="mlflow:99999")


def test_a_deleted_experiment_is_told_apart(team):
    team.client.delete_experiment(team.id)
    assert "this experiment was deleted" in told(team)


def test_unmapped_metrics_are_listed_with_lines_that_map_them(team, tmp_path):
    team.run([*daily("val/ece", [0.1] * 20), *daily("loss", [1.0])], tags={"model_id": "m"})
    message = told(team)
    assert "none of its 1 runs logs a metric that is mapped; they log loss, val/ece" in message
    lines = [line.strip() for line in message.split("\n") if line.startswith("  ")]
    assert lines == ["[calibration.hardening.mlflow.source.metrics]", 'aece = "val/ece"']
    server = f'[calibration.hardening.mlflow]\nuri = "{team.server.uri}"\n'
    mapped = AuditPlan.from_text(server + "\n".join(lines))
    assert len(team.rows(mapped)) == 20


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["loss", "auc"], [("aece", "loss")]),
        (["val_ece", "clamp-rate"], [("aece", "val_ece"), ("clamp_rate", "clamp-rate")]),
        (["eval/AECE", "eval/DECE"], [("aece", "eval/AECE"), ("dece", "eval/DECE")]),
        (["ece.a", "ece.bb"], [("aece", "ece.a")]),
        (["merged_bins_rate"], [("aece", "merged_bins_rate")]),
    ],
)
def test_suggestions_are_of_like_names_and_none_twice(keys, found):
    assert suggested(keys) == found


def test_runs_without_a_model_are_told_with_what_they_hold(team):
    for _ in range(3):
        team.run(daily("aece", [0.1]), name="bold-ant-1", tags={"model": "m"}, params={"lr": "1"})
    message = told(team)
    assert "3 of its 3 runs log metrics but name no model; they hold param:lr, tag:model" in message
    assert message.endswith('[calibration.hardening.mlflow.source]\n  model_id = ["tag:model"]')
    assert {row[0] for row in team.rows(team.plan(model_id=["tag:model"]))} == {"m"}


def test_an_experiment_without_runs_or_metrics_says_so(team):
    assert "has no run; nothing to audit" in told(team)
    team.run(tags={"model_id": "m"})
    assert "none of its 1 runs logs a metric; nothing to audit" in told(team)
    assert "has no run that fits" in told(team, team.plan(filter="tags.x = '1'"))


def test_a_filter_that_is_none_is_named(team):
    message = told(team, team.plan(filter="nonsense"))
    assert "[calibration.hardening.mlflow.source] filter = 'nonsense'" in message


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"You are not authenticated", "refuses who asks (401); set"),
        (200, b"<!doctype html><html>log in</html>", "no MLflow server, or a log-in page"),
        (403, b"Invalid Host header - possible DNS rebinding attack", "--allowed-hosts"),
    ],
)
def test_what_does_not_answer_as_mlflow_does_is_told_and_nothing_is_published(
    status, body, words, tmp_path, capsys
):
    for after in (0, 1):
        with answering(status, body, after=after) as uri:
            out = tmp_path / "out"
            code = cli.main(["audit", "mlflow:x", "--out", str(out), "--mlflow-uri", uri, "-q"])
        ended = capsys.readouterr()
        assert code == 4
        assert words in ended.err
        assert ended.err.startswith(f"calhard: MLflow at {uri}")
        assert ended.out == ""
        assert not out.exists()


def test_a_server_that_is_not_there_is_told_without_the_credentials_of_its_address(monkeypatch):
    monkeypatch.setattr("calhard.sinks.mlflow.client.PAUSES", (0.0,))
    plan = AuditPlan.model_validate({"mlflow": {"uri": "http://me:hush@127.0.0.1:1"}})
    message = told(None, plan, "mlflow:x")
    assert "MLflow at http://127.0.0.1:1: no MLflow server answers there; start it" in message
    assert "hush" not in message


@pytest.mark.parametrize("name", ["mlflow:", "mlflow: ", "mlflow://host/x"])
def test_a_source_without_an_experiment_is_an_error_of_usage(name):
    with pytest.raises(ConfigError, match="names no experiment"), fetched(name, AuditPlan()):
        pass


def test_no_server_at_all_is_an_error_of_usage():
    refused = pytest.raises(ConfigError, match="no MLflow server is named")
    with refused, fetched("mlflow:x", AuditPlan()):
        pass


def test_files_and_folders_of_any_name_are_left_to_the_reader(tmp_path):
    for source in (tmp_path, str(tmp_path), "./mlflow:x", "s3://bucket/mlflow:x"):
        with fetched(source, AuditPlan()) as found:
            assert found is source


def test_prepare_says_that_an_audit_reads_experiments_as_they_are(tmp_path, capsys):
    assert cli.main(["prepare", "mlflow:x", str(tmp_path / "out")]) == 2
    assert "give it to calhard audit" in capsys.readouterr().err
