"""Joins a cluster and tells what it is, on one line; ends with 1 where something is wrong.

``python -m calhard.doctor.probe ADDRESS``
"""

from __future__ import annotations

import sys

from calhard.engines.on_ray.joined import joined
from calhard.errors import CalhardError


def main(address: str) -> int:
    """Join, ask every node what it has, and leave."""
    try:
        with joined(address):
            told = _told(address)
    except CalhardError as e:
        sys.stdout.write(f"{' '.join(str(e).split())}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


def _told(address: str) -> str:
    import ray

    from calhard.engines.on_ray.nodes import check_nodes
    from calhard.engines.on_ray.room import alive_nodes

    nodes = alive_nodes()
    has = ray.cluster_resources()  # type: ignore[no-untyped-call]  # as Ray has it
    check_nodes()
    machines = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"{address}: {machines}, {has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
