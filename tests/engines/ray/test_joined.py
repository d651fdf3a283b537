"""Which clusters are refused, and what is said where none can be joined: no Ray is needed."""

import socket

import pytest

from calhard.engines.on_ray import RayEngine, heart, joined, outcomes
from calhard.engines.on_ray.executor import RayTasks
from calhard.engines.on_ray.room import Room
from calhard.errors import CalhardError, ConfigError

NAMES = ("RAY_AUTH_MODE", "RAY_USE_TLS", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("host", ["10.1.2.3", "head.example", "fd00::1"])
def test_a_cluster_elsewhere_is_refused_without_a_token(host):
    with pytest.raises(ConfigError, match=r"without a token.*CVE-2023-48022.*RAY_AUTH_MODE=token"):
        joined.check_guarded(host)


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_MODE", "token"), ("RAY_USE_TLS", "1")])
def test_a_token_or_certificates_guard_a_cluster(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    joined.check_guarded("10.1.2.3")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host):
    joined.check_guarded(host)


def join(address):
    with joined.joined(address):
        pytest.fail("joined")


def test_a_cluster_is_refused_before_it_is_reached():
    with pytest.raises(ConfigError, match="CVE-2023-48022"):
        join("ray://10.1.2.3:10001")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://head:8265", "no address of a cluster; use auto, ray://"),
        ("head", "host and port are needed; use auto, ray://"),
        ("ray://head", "host and port are needed"),
        ("head:many", "host and port are needed"),
    ],
)
def test_what_is_no_address_is_told_with_those_that_are(address, said):
    with pytest.raises(ConfigError, match=said):
        join(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nothing_answers_it_is_told_at_once(scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CalhardError, match="nothing answers there"):
        join(f"{scheme}127.0.0.1:{port}")


@pytest.mark.parametrize("found", ["2.53.0", "2.9.3", "1.13.0"])
def test_an_unsafe_ray_is_refused(monkeypatch, found):
    monkeypatch.setattr(joined, "version", lambda name: found)
    with pytest.raises(ConfigError, match=f"Ray {found}.*CVE-2026-27482.*ray>=2.54"):
        joined.check_ray()


@pytest.mark.parametrize("found", ["2.54.0", "2.60.0rc1", "3.0.0"])
def test_later_ones_are_not(monkeypatch, found):
    monkeypatch.setattr(joined, "version", lambda name: found)
    joined.check_ray()


# --- the head, the room, the outcomes ---------------------------------------------------------


def test_a_head_that_does_not_answer_for_long_is_told_with_what_to_do():
    now = [0.0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        looked = heart.Heart(lambda: now[0], address)
        now[0] = 100.0
        looked.check()
    now[0] = 100.0 + heart.PATIENCE_SECONDS
    looked.check()
    now[0] += 1
    with pytest.raises(outcomes.ClusterLost, match=r"does not answer.*run the command again"):
        looked.check()


def test_room_is_counted_node_by_node_and_anew_after_some_seconds(monkeypatch):
    now, nodes = [0.0], [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 5.0}, {}]
    monkeypatch.setattr(
        "calhard.engines.on_ray.room.alive_nodes", lambda: [{"Resources": n} for n in nodes]
    )
    clock = lambda: now[0]  # noqa: E731
    rooms = {
        "one": Room(clock=clock),
        "two": Room(cpus=2.0, clock=clock),
        "card": Room(gpus=0.25, clock=clock),
        "told": Room(at_most=77, clock=clock),
    }
    assert [room.slots for room in rooms.values()] == [8, 3, 3, 77]
    nodes.pop(0)
    assert rooms["one"].slots == 8
    now[0] = 6.0
    assert [room.slots for room in rooms.values()] == [5, 2, 1, 77]
    with pytest.raises(CalhardError, match=r"1 CPU and 0.25 GPU .* --workers how many"):
        rooms["card"].check()
    rooms["told"].check()


def test_the_errors_of_ray_are_told_apart():
    from ray import exceptions

    from calhard.engines.executor import Kind

    kinds = {
        exceptions.WorkerCrashedError(): Kind.CRASH,
        exceptions.OutOfMemoryError("killed"): Kind.MEMORY,
        exceptions.NodeDiedError("gone"): Kind.LOST,
        exceptions.ObjectLostError("a" * 56, "owner", "here"): Kind.LOST,
        exceptions.OwnerDiedError("a" * 56, "owner", "here"): Kind.LOST,
        exceptions.ActorDiedError(): Kind.CRASH,
        exceptions.ActorUnavailableError("busy", b"a" * 16): Kind.LOST,
        exceptions.TaskCancelledError(): Kind.CANCELLED,
    }
    assert [outcomes.failed(error).kind for error in kinds] == list(kinds.values())
    starved = outcomes.failed(exceptions.WorkerCrashedError(), starved=True)
    assert starved.kind is Kind.MEMORY
    with pytest.raises(outcomes.ClusterLost, match=r"raylet.*What was done is kept"):
        outcomes.failed(exceptions.LocalRayletDiedError())


@pytest.mark.slow
def test_a_program_that_has_joined_one_ray_joins_no_other(own_ray):
    with pytest.raises(ConfigError, match="joined a Ray already"):
        list(RayEngine("ray://127.0.0.1:10001").map(abs, [1]))


def test_the_executor_is_one_of_the_protocol():
    from calhard.engines.executor import Executor

    executor: Executor = RayTasks(Room(at_most=2), None)
    assert (executor.name, executor.slots) == ("ray", 2)
