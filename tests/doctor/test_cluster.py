"""What is said of Ray and of clusters."""

import socket
from importlib.metadata import version

import pytest

from calhard.doctor.cluster import _guard, cluster
from calhard.doctor.finding import State
from tests.submit.served import ray, serving

pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")


@pytest.fixture(autouse=True)
def no_token(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def examined(address=None):
    return {found.name: found for found in cluster(address)}


def test_without_an_address_ray_itself_is_looked_at():
    found = examined()
    assert {name: each.state for name, each in found.items()} == {"ray": State.OK}
    assert found["ray"].told == version("ray")


def test_a_guarded_cluster_of_the_same_ray_is_well(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    with serving(ray(version("ray")), token="right") as (address, _):
        found = examined(address)
    assert (found["cluster"].state, found["token"].state) == (State.OK, State.OK)


def test_another_ray_and_a_cluster_open_on_this_machine_are_notes():
    with serving(ray("2.99.0")) as (address, _):
        found = examined(address)
    assert found["cluster"].state == State.NOTE
    assert f"runs Ray 2.99.0, here is {version('ray')}" in found["cluster"].told
    assert found["token"].state == State.NOTE
    assert "RAY_AUTH_MODE=token" in found["token"].remedy


def test_a_cluster_open_to_others_is_wrong():
    assert _guard("10.0.0.1", is_open=True).state == State.WRONG
    assert _guard("10.0.0.1", is_open=False).state == State.OK


@pytest.mark.parametrize(
    ("answers", "told"),
    [(ray("2.53.0"), "CVE-2026-27482"), ({}, "no Ray dashboard")],
)
def test_what_submit_would_refuse_is_wrong(answers, told):
    with serving(answers) as (address, _):
        found = examined(address)
    assert found["cluster"].state == State.WRONG
    assert told in found["cluster"].told


def test_a_missing_token_is_wrong():
    with serving(ray(), token="right") as (address, _):
        found = examined(address)
    assert found["cluster"].state == State.WRONG
    assert "asks for a token" in found["cluster"].told


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_cluster_that_is_not_there_is_wrong(scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = examined(f"{scheme}127.0.0.1:{free.getsockname()[1]}")
    assert found["cluster"].state == State.WRONG
    assert "nothing answers there" in found["cluster"].told


def test_plain_http_to_another_machine_is_wrong():
    found = examined("http://10.255.255.1:8265")
    assert found["cluster"].state == State.WRONG
    assert "CVE-2023-48022" in found["cluster"].line()
