"""``python -m tests.engines.ray.two_nodes``: a cluster of two nodes, of which one dies.

Prints what came of two calls, one a node, and what is said of a third node without calhard.
"""

import json
import os
from pathlib import Path

from calhard.engines.executor import Call
from calhard.engines.on_ray import RayEngine
from calhard.engines.on_ray.private import _environment, private_folder
from calhard.errors import CalhardError
from tests.engines import work
from tests.engines.ray.work import tell_node_and_wait, wait_for

QUICK = {"RAY_health_check_period_ms": "800"}
"""After five looks a node is known to be dead; one that is slow has ten seconds for each."""


def main(folder):
    """Compute on both nodes, kill one, go on with the other."""
    os.environ |= QUICK | {"RAY_TMPDIR": str(folder)}
    import ray
    from ray.cluster_utils import Cluster

    plain = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args=plain | {"include_dashboard": False},
    )
    other = cluster.add_node(**plain)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
    told = {}
    with RayEngine("auto").executor() as executor:
        told["slots"] = executor.slots
        calls = [executor.start(Call(tell_node_and_wait, (str(folder), i))) for i in range(2)]
        for i in range(2):
            wait_for(folder / str(i))
        nodes = [(folder / str(i)).read_text() for i in range(2)]
        cluster.remove_node(other, allow_graceful=False)
        ((lost, outcome),) = executor.wait(None)
        told["lost"] = [str(outcome.kind), str(outcome.error)]
        told["its"] = nodes[calls.index(lost)] == other.node_id
        (folder / "gate").touch()
        ((_, outcome),) = executor.wait(None)
        told["other"] = [str(outcome.kind), outcome.value]
    told["after"] = list(RayEngine().map(work.square, range(3)))
    (folder / "lib").mkdir()
    hidden = "import sys\nsys.modules['calhard'] = None\n"  # as if it were not installed
    (folder / "lib" / "sitecustomize.py").write_text(hidden)
    cluster.add_node(**plain, env_vars={"PYTHONPATH": str(folder / "lib")})
    try:
        list(RayEngine().map(work.square, range(3)))
    except CalhardError as e:
        told["missing"] = str(e)
    print(json.dumps(told))  # noqa: T201  # the caller reads it
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    with private_folder() as own, _environment(own):
        main(Path(own))
