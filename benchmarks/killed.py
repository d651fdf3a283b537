"""``python -m benchmarks.killed audit …``: calhard's command, with small shards.

``CALHARD_SHARD_ROWS`` tells how many rows a shard has at least: a history of some thousand rows is
then audited in as many steps as one of some billions.
"""

from __future__ import annotations

import os
from functools import partial

from calhard.cli.main import main
from calhard.history import open as opening
from calhard.history.shards import ordered_shards

SHARD_ROWS = "CALHARD_SHARD_ROWS"

if __name__ == "__main__":
    rows = int(os.environ[SHARD_ROWS])
    opening.ordered_shards = partial(ordered_shards, target=rows)  # type: ignore[attr-defined]
    main()
