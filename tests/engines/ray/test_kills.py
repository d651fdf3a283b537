"""FAULT 22 on Ray at moments that nobody chose; `benchmarks.kills` does it a hundred times over."""

import pytest

from benchmarks.killing import Audit, Killer, write_history

SEED = 7


@pytest.mark.slow
def test_a_driver_that_is_killed_at_random_moments_loses_doubles_and_leaves_nothing(
    own_ray, tmp_path
):
    import ray

    address = ray.get_runtime_context().gcs_address
    options = ("--engine", "ray", "--ray-address", address)
    rows = write_history(tmp_path / "history", models=12, classes=2, models_per_shard=2)
    outcome = Killer(Audit(tmp_path / "history", rows, options), tmp_path, SEED).kill(10)
    assert (outcome.kills, outcome.nights >= 1) == (10, True)
    assert outcome.is_sound, (SEED, outcome)
