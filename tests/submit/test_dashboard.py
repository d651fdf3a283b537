"""Which clusters are spoken to, and what is said of those that are not."""

import socket

import pytest

from calhard.errors import CalhardError, ConfigError
from calhard.submit.dashboard import Dashboard, is_loopback, token
from tests.submit.served import ray, serving


@pytest.fixture(autouse=True)
def no_token(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:8265", "ray://head:10001", "http://", ""])
def test_an_address_that_is_no_dashboards_is_refused(address):
    with pytest.raises(ConfigError, match="no address of a Ray dashboard; write one such as http"):
        Dashboard.at(address)


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1:8265", "http://head:8265", "http://127.0.0.1.example:8265"]
)
def test_plain_http_to_another_machine_needs_a_token(address, monkeypatch):
    with pytest.raises(ConfigError, match="CVE-2023-48022"):
        Dashboard.at(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert Dashboard.at(address).address == address
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigError, match="CVE-2023-48022"):
        Dashboard.at(address)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://head"]
)
def test_this_machine_and_tls_need_none(address):
    assert Dashboard.at(address + "/").address == address


def test_only_loopback_addresses_are_loopback():
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "localhost.example", "10.0.0.1", ""))


def test_the_token_is_a_variables_a_named_files_or_the_users(tmp_path, monkeypatch):
    assert token() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("the user's\n")
    assert token() == "the user's"
    (tmp_path / "named").write_text("of a file")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "named"))
    assert token() == "of a file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of a variable")
    assert token() == "of a variable"


def test_a_named_file_that_is_not_there_is_an_error_not_another_token(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"RAY_AUTH_TOKEN_PATH=.*nowhere: cannot be read"):
        token()


@pytest.mark.parametrize("version", ["2.54.0", "2.60.0", "3.0.0.dev0"])
def test_the_version_is_told(version):
    with serving(ray(version)) as (address, _):
        assert Dashboard.at(address).version() == version


@pytest.mark.parametrize("version", ["2.53.9", "2.9.0", "1.13.0"])
def test_a_ray_that_web_pages_can_use_is_refused(version):
    with serving(ray(version)) as (address, _), pytest.raises(ConfigError) as error:
        Dashboard.at(address).version()
    assert f"Ray {version}" in str(error.value)
    assert "CVE-2026-27482" in str(error.value)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/api/jobs/": (200, [], {}), "/api/version": (200, "<html>", {})},
        {"/api/jobs/": (200, [], {}), "/api/version": (200, ["2.60"], {})},
        {"/api/jobs/": (200, [], {}), "/api/version": (200, {"ray_version": "new"}, {})},
        {"/api/jobs/": (500, "", {})},
    ],
    ids=["nothing", "html", "list", "no number", "failure"],
)
def test_what_is_no_dashboard_is_told_as_such(answers):
    with serving(answers) as (address, _), pytest.raises(CalhardError, match="no Ray dashboard"):
        Dashboard.at(address).version()


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(CalhardError, match="nothing answers there"):
            Dashboard.at(address).version()


def test_a_missing_and_a_wrong_token_are_told_apart(monkeypatch):
    with serving(ray(), token="right") as (address, seen):
        dashboard = Dashboard.at(address)
        assert not dashboard.is_open()
        with pytest.raises(CalhardError, match="asks for a token, and there is none here"):
            dashboard.version()
        monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
        with pytest.raises(CalhardError, match="refuses the token"):
            dashboard.version()
        monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
        assert dashboard.version() == "2.60.0"
    assert ("/api/jobs/", "Bearer right") in seen


def test_a_cluster_without_tokens_is_open():
    with serving(ray()) as (address, _):
        assert Dashboard.at(address).is_open()


def test_a_token_does_not_follow_a_redirection(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    with serving(ray()) as (elsewhere, seen):
        moved = {"/api/jobs/": (302, "", {"Location": f"{elsewhere}/api/jobs/"})}
        with serving(moved) as (address, _), pytest.raises(CalhardError, match="302"):
            Dashboard.at(address).version()
    assert seen == []
