"""Memory, disk, clock and the folder of the nights."""

import os
import time
from pathlib import Path

import pytest

from calhard.doctor.finding import State
from calhard.doctor.machine import GIB, available_memory, folder, machine, memory

PROC = Path("/proc")


def states(found):
    return {each.name: each.state for each in found}


def test_this_machine_is_well(tmp_path):
    found = states(machine(tmp_path / "nights" / "of" / "june"))
    assert set(found) == {"cores", "memory", "out", "clock", "disk"}
    assert State.WRONG not in found.values()
    assert list(tmp_path.iterdir()) == []


def test_little_memory_is_a_note_that_names_fewer_workers():
    assert memory(8.0, 8).state == State.OK
    assert memory(3.5, 8).state == State.NOTE
    assert "--workers 3" in memory(3.5, 8).remedy
    assert "--workers 1" in memory(0.2, 8).remedy
    assert memory(None, 8).state == State.NOTE


def test_free_memory_is_the_containers_where_that_is_less(tmp_path):
    assert available_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    8388608 kB\n")
    assert available_memory(tmp_path) == 8.0
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1\n")
    assert available_memory(tmp_path) == 8.0
    (group / "memory.max").write_text(f"{4 * GIB}\n")
    (group / "memory.current").write_text(f"{1 * GIB}\n")
    assert available_memory(tmp_path) == 3.0


@pytest.mark.parametrize(("ahead", "way"), [(90, "behind"), (-90, "ahead of")])
def test_a_clock_that_is_not_the_files_is_wrong(tmp_path, ahead, way):
    found = {each.name: each for each in folder(tmp_path, lambda: time.time() + ahead)}
    assert found["clock"].state == State.WRONG
    assert f"90 s {way} this machine's clock" in found["clock"].told
    assert "NTP" in found["clock"].remedy


def test_a_folder_that_is_a_file_is_wrong(tmp_path):
    (tmp_path / "nights").write_text("")
    assert states(folder(tmp_path / "nights")) == {"out": State.WRONG}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_wrong(tmp_path):
    tmp_path.chmod(0o500)
    try:
        (found,) = folder(tmp_path / "nights")
    finally:
        tmp_path.chmod(0o700)
    assert found.state == State.WRONG
    assert "Permission denied" in found.told


@pytest.mark.skipif(not PROC.is_dir(), reason="there is no /proc here")
def test_a_file_system_that_takes_no_files_is_wrong():
    (found,) = folder(PROC / "nights")
    assert found.state == State.WRONG
    assert "cannot be written" in found.told
