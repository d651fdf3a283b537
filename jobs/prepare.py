r"""Any history as sorted Parquet, as a Ray job: `calhard prepare` on the cluster that it runs on.

    ray job submit --address http://127.0.0.1:8265 -- \
        python jobs/prepare.py /shared/exports /shared/prepared

Takes every option of `calhard prepare`. The exit code is the command's. Run again, it reads what is
new.
"""

import sys

from calhard.cli.main import main

ON_THE_CLUSTER = ["--engine", "ray", "--ray-address", "auto"]

if __name__ == "__main__":
    main(["prepare", *ON_THE_CLUSTER, *sys.argv[1:]])
