"""A Ray of one's own is nobody else's: its sockets, its files, what it inherits and leaves."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.engines.on_ray import private

LISTENS = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
MAPPED = "0000000000000000FFFF00000100007F"
"""127.0.0.1 as a socket of both families has it."""
slow = pytest.mark.slow


def parents():
    """The parent of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    return found


def family(pid):
    """A process and all that descend from it."""
    parent, found, more = parents(), set(), {pid}
    while more:
        found |= more
        more = {child for child, of in parent.items() if of in more} - found
    return found


def sockets(pid):
    """The inodes of a process's sockets."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening():
    """(address, inode) of every listening socket of this machine."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS:
                yield fields[1].partition(":")[0], fields[9]


@slow
def test_every_socket_listens_on_the_loopback(own_ray):
    mine = set().union(*(sockets(pid) for pid in family(os.getpid())))
    found = [address for address, inode in listening() if inode in mine]
    assert len(found) >= 3, "the control store, the node's and a worker's at least"
    assert set(found) <= LOOPBACK | {MAPPED}


@slow
def test_files_and_token_are_for_this_user_alone(own_ray):
    token = Path(own_ray.environment["RAY_AUTH_TOKEN_PATH"])
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700
    assert len(token.read_text()) == 64
    assert (token.parent / "r" / "session_latest" / "logs").is_dir()
    assert own_ray.environment["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN" not in own_ray.environment


@slow
def test_ray_leaves_the_umask_and_the_signals_of_this_process_alone(own_ray):
    assert own_ray.after == own_ray.before


STRANGER = """
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=5)
except Exception as e:
    sys.exit(f"refused: {e}")
"""


@slow
@pytest.mark.parametrize("token", [None, "f" * 64])
def test_who_does_not_know_the_token_is_refused(own_ray, token):
    import ray

    address = ray.get_runtime_context().gcs_address
    environment = dict(os.environ) | {"RAY_AUTH_MODE": "token" if token else "disabled"}
    del environment["RAY_AUTH_TOKEN_PATH"]
    if token:
        environment["RAY_AUTH_TOKEN"] = token
    command = [sys.executable, "-c", STRANGER, address]
    tried = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert tried.returncode == 1
    assert "refused: " in tried.stderr
    assert "nauth" in tried.stderr


def test_folders_of_processes_that_were_killed_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(private, "LONGEST", 1_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("dead", "living", "unborn"):
        (tmp_path / f"{private.PREFIX}{name}").mkdir()
    for name in ("dead", "living"):
        (tmp_path / f"{private.PREFIX}{name}" / private.ALIVE).touch()
    with (tmp_path / f"{private.PREFIX}living" / private.ALIVE).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with private.private_folder() as mine:
            assert mine.stat().st_mode & 0o777 == 0o700
            left = {path.name.removeprefix(private.PREFIX) for path in tmp_path.iterdir()}
            assert left == {"living", "unborn", mine.name.removeprefix(private.PREFIX)}
    assert not mine.exists()
    assert {p.name.removeprefix(private.PREFIX) for p in tmp_path.iterdir()} == {"living", "unborn"}


def test_a_temporary_folder_too_long_for_sockets_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 30)))
    with private.private_folder() as mine:
        assert mine.parent == Path("/tmp")
