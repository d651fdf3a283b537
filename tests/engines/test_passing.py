"""Which failures of storage pass, and that they are tried again wherever tasks are computed."""

import errno
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from calhard.engines import LocalEngine, Policy
from calhard.engines.memory import machine_memory
from calhard.uri import StorageFailed, passes

PATIENT = Policy(patience=(0.01, 0.01), isolate=True)


@pytest.mark.parametrize("name", ["EIO", "ESTALE", "ETIMEDOUT", "ECONNRESET", "EHOSTUNREACH"])
def test_a_disk_across_a_network_may_be_back_soon(name):
    assert passes(OSError(getattr(errno, name), "of the test"))


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EACCES", "ENOENT", "EROFS", "EMFILE"])
def test_what_somebody_must_mend_does_not_pass(name):
    assert not passes(OSError(getattr(errno, name), "of the test"))


@pytest.mark.parametrize(
    ("told", "passing"),
    [
        ("AWS Error SLOW_DOWN during GetObject operation: Reduce your request rate", True),
        ("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: x", True),
        ("AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 28, Timeout", True),
        ("AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 56, Reset", True),
        ("AWS Error ACCESS_DENIED during GetObject operation: no", False),
        ("AWS Error NO_SUCH_BUCKET during GetObject operation: no", False),
        ("AWS Error UNKNOWN (HTTP status 404) during HeadObject operation: x", False),
        ("Couldn't deserialize thrift: TProtocolException: Invalid data", False),
    ],
)
def test_a_store_that_is_overloaded_or_away_passes_and_what_it_refuses_does_not(told, passing):
    assert passes(OSError(told)) is passing
    assert not passes(ValueError(told))


@dataclass(frozen=True)
class Flaky:
    """Fails so many times, counted in a folder, and then returns its process."""

    folder: Path
    fails: int
    number: int = errno.ESTALE

    def __call__(self, task):
        seen = len(list(self.folder.iterdir()))
        (self.folder / f"{seen}").touch()
        if seen < self.fails:
            raise OSError(self.number, "Stale file handle", str(self.folder))
        return os.getpid()


@pytest.mark.parametrize("isolate", [False, True], ids=["here", "in a worker"])
def test_a_task_that_storage_failed_is_computed_in_the_end(tmp_path, isolate):
    policy = Policy(patience=PATIENT.patience, isolate=isolate)
    (done,) = LocalEngine(1).run(Flaky(tmp_path, 2), [0], policy)
    assert (done.value == os.getpid()) is not isolate
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("number", "tries"), [(errno.ESTALE, 3), (errno.EACCES, 1)])
def test_what_does_not_pass_is_raised_as_it_is(tmp_path, number, tries):
    with pytest.raises(OSError, match="Stale file handle") as error:
        list(LocalEngine(1).run(Flaky(tmp_path, 9, number), [0], PATIENT))
    assert error.value.errno == number
    assert len(list(tmp_path.iterdir())) == tries


def test_a_failure_of_storage_says_so_on_its_way_from_a_worker(tmp_path):
    there = pickle.loads(pickle.dumps(StorageFailed("file.parquet: cannot be read")))
    assert passes(there)
    assert str(there) == "file.parquet: cannot be read"


def group(root, path, **limits):
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, limit in limits.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{limit}\n")


def test_the_memory_of_a_machine_is_its_containers_or_its_groups_where_that_is_less(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    assert machine_memory(tmp_path) is None
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8388608 kB\nMemFree: 1 kB\n")
    assert machine_memory(tmp_path) == 8 * 2**30
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    group(tmp_path, "a/b", memory_max="max")
    assert machine_memory(tmp_path) == 8 * 2**30
    group(tmp_path, "a", memory_max=2**30)
    assert machine_memory(tmp_path) == 2**30
    group(tmp_path, "", memory_max=2**29)
    assert machine_memory(tmp_path) == 2**29
    (tmp_path / "proc/self/cgroup").write_text("5:memory:/x\n1:cpu:/y\n")
    group(tmp_path, "memory/x", memory_limit_in_bytes=2**28)
    assert machine_memory(tmp_path) == 2**28


def test_workers_share_the_memory_of_the_machine():
    whole = LocalEngine(1).worker_memory()
    assert whole > 0
    assert LocalEngine(4).worker_memory() == whole // 4
