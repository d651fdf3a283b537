"""What a worker on Ray has: its share of what Ray tells of the smallest node."""

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")

from calhard.engines.on_ray.room import Room

GIB = 2**30


@pytest.mark.parametrize(
    ("nodes", "cpus", "share"),
    [
        ([{"CPU": 4.0, "memory": 8.0 * GIB}], 1.0, 2 * GIB),
        ([{"CPU": 4.0, "memory": 8.0 * GIB}], 2.0, 4 * GIB),
        ([{"CPU": 4.0, "memory": 8.0 * GIB}, {"CPU": 8.0, "memory": 8.0 * GIB}], 1.0, GIB),
        ([{"CPU": 4.0, "memory": 8.0 * GIB}, {"memory": 1.0}], 1.0, 2 * GIB),
        ([{"CPU": 4.0}], 1.0, None),
        ([], 1.0, None),
    ],
)
def test_a_call_has_its_share_of_the_smallest_node(monkeypatch, nodes, cpus, share):
    told = [{"Alive": True, "Resources": has} for has in nodes]
    monkeypatch.setattr("calhard.engines.on_ray.room.alive_nodes", lambda: told)
    assert Room(cpus).memory() == share


def test_the_engine_asks_the_ray_that_it_is_joined_to(own_ray):
    from calhard.engines.on_ray import RayEngine

    memory = RayEngine().worker_memory()
    assert 64 * 2**20 < memory < 2**50
    assert RayEngine(cpus_per_task=2.0).worker_memory() == pytest.approx(2 * memory, abs=2)
