"""Whether the nodes of a cluster run what the driver runs, asked before any work starts."""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from calhard.engines.on_ray.room import alive_nodes
from calhard.engines.on_ray.versions import REMEDY, Versions, check_versions, versions
from calhard.errors import CalhardError

ANSWER_SECONDS = 120.0
"""A first worker may have an environment to set up; later nodes are checked by their work."""


def check_nodes() -> None:
    """Check every node that has processors.

    Raises
    ------
    CalhardError
        A node lacks calhard, or has another version of it, of Python or of what computes.
    """
    asked = {_ask(node["NodeID"]): _name(node) for node in alive_nodes() if _computes(node)}
    answered, _ = ray.wait(list(asked), num_returns=max(len(asked), 1), timeout=ANSWER_SECONDS)
    for ref in answered:
        _check(ref, asked[ref])


def _computes(node: dict[str, Any]) -> bool:
    return bool(node["Resources"].get("CPU", 0) > 0)


def _name(node: dict[str, Any]) -> str:
    return f"node {node['NodeName']}"


def _ask(node_id: str) -> Any:
    def told() -> Versions | str:  # pickled by value: the worker may have no calhard
        try:
            from calhard.engines.on_ray.versions import versions
        except ImportError as e:
            return str(e)
        return versions()

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    remote = ray.remote(told).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    return remote.remote()


def _check(ref: Any, where: str) -> None:
    try:
        found = ray.get(ref)
    except ray.exceptions.RayError:
        return  # a node that went meanwhile
    if isinstance(found, str):
        raise CalhardError(f"Ray's workers on {where} have no such calhard ({found}); {REMEDY}")
    check_versions(versions(), found, where)
