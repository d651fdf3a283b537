"""Publishes a night in a process that test_remote_faults.py kills: ``… OUT MODELS FORCE``."""

import sys

from tests.store.nights import write

if __name__ == "__main__":
    write(sys.argv[1], models=int(sys.argv[2]), force=sys.argv[3] == "force")
