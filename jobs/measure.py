r"""Predictions to a history, as a Ray job: `calhard measure` on the cluster that the job runs on.

    ray job submit --address http://127.0.0.1:8265 -- \
        python jobs/measure.py /shared/predictions --history /shared/history --period 1d

Takes every option of `calhard measure`. The exit code is the command's. Run again, it measures what
is new.
"""

import sys

from calhard.cli.main import main

ON_THE_CLUSTER = ["--engine", "ray", "--ray-address", "auto"]

if __name__ == "__main__":
    main(["measure", *ON_THE_CLUSTER, *sys.argv[1:]])
