"""What is said of cards, with programs that answer as the driver's does."""

import sys
from pathlib import Path

import pytest

from calhard.doctor import card
from calhard.doctor.finding import State


def examined(monkeypatch, tmp_path, smi=None, packages=(), cupy=None):
    """Examine with a given nvidia-smi, installed packages and CuPy, all of them real files."""
    programs, site = tmp_path / "bin", tmp_path / "site"
    programs.mkdir()
    site.mkdir()
    if smi is not None:
        (programs / "nvidia-smi").write_text(f"#!{sys.executable}\n{smi}\n")
        (programs / "nvidia-smi").chmod(0o755)
    for name in packages:
        info = site / f"{name.replace('-', '_')}-14.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 14.0\n")
    if cupy is not None:
        (site / "cupy.py").write_text(cupy)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(sys, "path", [str(site), *(p for p in sys.path if not _has_cupy(p))])
    return {found.name: found for found in card.card()}


def _has_cupy(place):
    return Path(place).is_dir() and any(Path(place).glob("cupy*"))


CARD = "print('NVIDIA H100, 81559 MiB, 580.65.06')"
CUPY = """
class cuda:
    class runtime:
        getDeviceCount = staticmethod(lambda: {cards})
        getDeviceProperties = staticmethod(lambda i: {{"name": b"NVIDIA H100"}})
        driverGetVersion = staticmethod(lambda: 13020)
class arange:
    def __init__(self, n):
        self.n = n
    def sum(self):
        return {total}
"""


def test_without_driver_and_cupy_there_is_nothing_wrong(monkeypatch, tmp_path):
    found = examined(monkeypatch, tmp_path)
    assert [each.state for each in found.values()] == [State.NOTE, State.NOTE]
    assert "no NVIDIA driver answers" in found["gpu"].told
    assert found["cupy"].told == "not installed"


def test_a_card_without_cupy_says_what_to_install(monkeypatch, tmp_path):
    found = examined(monkeypatch, tmp_path, CARD)
    assert found["gpu"].told == "1 × NVIDIA H100, 81559 MiB, 580.65.06"
    assert (found["gpu"].state, found["cupy"].state) == (State.OK, State.NOTE)
    assert "calhard[cuda13]" in found["cupy"].remedy


def test_a_driver_that_does_not_answer_is_none(monkeypatch, tmp_path):
    found = examined(monkeypatch, tmp_path, "raise SystemExit(9)", ["cupy-cuda13x"])
    assert (found["gpu"].state, found["cupy"].state) == (State.NOTE, State.NOTE)
    assert "cupy-cuda13x 14.0 is installed, without a card" in found["cupy"].told


@pytest.mark.parametrize(
    ("cupy", "state", "told"),
    [
        (CUPY.format(cards=1, total="sum(range(1024))"), State.OK, "on NVIDIA H100, CUDA 13.2"),
        (CUPY.format(cards=1, total="0"), State.WRONG, "finds no card that computes"),
        (CUPY.format(cards=0, total="0"), State.WRONG, "finds no card that computes"),
        ("raise ImportError('libcuda')", State.WRONG, "does not work here"),
        ("import os; os.abort()", State.WRONG, "does not work here"),
    ],
)
def test_cupy_must_compute_on_the_card(monkeypatch, tmp_path, cupy, state, told):
    found = examined(monkeypatch, tmp_path, CARD, ["cupy-cuda13x"], cupy)
    assert found["cupy"].state == state
    assert told in found["cupy"].told
    assert (found["cupy"].remedy is None) == (state == State.OK)


@pytest.mark.gpu
def test_a_real_card_computes():
    pytest.importorskip("cupy", reason="CuPy is not installed")
    found = {each.name: each for each in card.card()}
    if found["gpu"].state != State.OK:
        pytest.skip("no NVIDIA card here")
    assert found["cupy"].state == State.OK, found["cupy"].told
