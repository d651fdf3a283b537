"""The server as calhard speaks to it."""

from calhard.sinks.mlflow.client import connect


def test_a_server_that_answers_tells_its_version(server, settings):
    found = connect(settings)
    assert found.version.startswith("3.")
    assert found.client.get_experiment_by_name("Default").experiment_id == "0"
