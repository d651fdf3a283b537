"""A baseline is one run in MLflow, also where an answer was lost."""

import pyarrow as pa

from calhard.registry.baselines import Shelf
from calhard.registry.baselines.send import IN_FORCE, send_baseline
from calhard.sinks.mlflow.experiment import name_of
from tests.registry.test_guards import Losing


def test_a_baseline_whose_run_was_asked_for_twice_has_one_that_is_finished(
    connected, name, tmp_path
):
    server = connected()
    table = pa.table({"model_id": ["m"], "class_id": ["c"], "aece": [0.1]})
    version = Shelf.of(tmp_path).add(table, "2026-06-01", {"fleet": name})
    server._client = Losing(server._client, "create_run")
    run_id = send_baseline(server, version, in_force=True)
    assert send_baseline(server, version, in_force=True) == run_id
    there = server.client.get_experiment_by_name(name_of(server.settings, name))
    (run,) = server.client.search_runs([there.experiment_id])
    assert server._client.asked == 2
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.tags[IN_FORCE] == "true"
