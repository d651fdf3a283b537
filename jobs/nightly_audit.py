r"""One night, as a Ray job: `calhard audit` on the cluster that the job runs on.

    ray job submit --address http://127.0.0.1:8265 -- \
        python jobs/nightly_audit.py /shared/history --out /shared/nights --as-of 2026-05-31T00:00Z

Takes every option of `calhard audit`. Name --as-of where the job may be tried again later. The exit
code is the audit's; --exit-zero makes confirmed findings (1) a job that succeeded. `calhard submit`
does all this from a machine that has calhard and nothing else of the repository.
"""

import sys

from calhard.cli.main import main

ON_THE_CLUSTER = ["--engine", "ray", "--ray-address", "auto"]

if __name__ == "__main__":
    main(["audit", *ON_THE_CLUSTER, *sys.argv[1:]])
