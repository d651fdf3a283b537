"""The CronJob's program, against a server that speaks as the API of Kubernetes does."""

import json
import os
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

import pytest

from tests.cluster.manifests import CLUSTER, document

x509 = pytest.importorskip("cryptography.x509", reason="makes the server's certificate")

PROGRAM, TEMPLATE = CLUSTER / "create_rayjob.py", CLUSTER / "rayjob.yaml"


def certificate(folder):
    """Write a key and a certificate of 127.0.0.1 that vouches for itself."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret + made.public_bytes(pem))
    (folder / "ca.crt").write_bytes(made.public_bytes(pem))


class Kubernetes(BaseHTTPRequestHandler):
    """Remembers RayJobs by name; answers as the API server does."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer of-the-pod":
            return self.answer(403, {"message": "rayjobs.ray.io is forbidden"})
        place = (self.path, body["metadata"]["name"])
        if place in self.server.created:
            return self.answer(409, {"reason": "AlreadyExists"})
        self.server.created[place] = body
        return self.answer(201, body)

    def answer(self, code, body):
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def account(tmp_path):
    certificate(tmp_path)
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "namespace").write_text("audits")
    return tmp_path


@pytest.fixture
def server(account):
    with HTTPServer(("127.0.0.1", 0), Kubernetes) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(account / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.created = {}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(server, account, *options, template=TEMPLATE, **variables):
    env = {
        **os.environ,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.server_port),
        **variables,
    }
    return subprocess.run(
        [sys.executable, PROGRAM, template, "--account", account, *options],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
    )


def test_a_night_is_created_once_and_its_moment_is_pinned(server, account):
    day = ("--as-of", "2026-06-01")
    owner = {"JOB_NAME": "calhard-nightly-1", "JOB_UID": "f00"}
    first, second = (run(server, account, *day, **owner) for _ in range(2))
    assert (first.returncode, first.stdout) == (0, "calhard-2026-05-31 created\n")
    assert (second.returncode, second.stdout) == (0, "calhard-2026-05-31 is there already\n")
    (((path, name), sent),) = server.created.items()
    assert path == "/apis/ray.io/v1/namespaces/audits/rayjobs"
    assert name == "calhard-2026-05-31"
    assert "--as-of 2026-06-01T00:00Z --exit-zero" in sent["spec"]["entrypoint"]
    (by,) = sent["metadata"]["ownerReferences"]
    assert by == {"apiVersion": "batch/v1", "kind": "Job", "name": owner["JOB_NAME"], "uid": "f00"}
    template = document("rayjob.yaml", "RayJob")
    sent["spec"]["entrypoint"] = template["spec"]["entrypoint"]
    assert sent["spec"] == template["spec"]


def test_without_a_day_it_is_todays_midnight_in_utc(server, account):
    before = datetime.now(UTC).date()
    assert run(server, account).returncode == 0
    days = {before, datetime.now(UTC).date()}
    (sent,) = server.created.values()
    assert any(f"--as-of {day}T00:00Z" in sent["spec"]["entrypoint"] for day in days)
    assert "ownerReferences" not in sent["metadata"]


def test_a_refusal_is_told_and_is_a_failure(server, account):
    (account / "token").write_text("of-somebody")
    done = run(server, account)
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "rayjobs.ray.io is forbidden" in done.stderr
    assert "of-somebody" not in done.stderr


def test_a_server_whose_certificate_is_not_the_clusters_is_given_no_token(
    server, account, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    certificate(other)
    (other / "token").write_text("of-the-pod")
    (other / "namespace").write_text("audits")
    done = run(server, other)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert server.created == {}


def test_a_template_without_a_moment_to_pin_is_refused(server, account, tmp_path):
    text = TEMPLATE.read_text(encoding="utf-8").replace("--as-of 2026-05-31T00:00Z ", "")
    (tmp_path / "own.yaml").write_text(text)
    done = run(server, account, template=tmp_path / "own.yaml")
    assert done.returncode == 1
    assert "must have --as-of once" in done.stderr
    assert server.created == {}


def test_the_name_is_short_enough_for_the_cluster_that_is_named_after_it():
    name = document("rayjob.yaml", "RayJob")["metadata"]["name"]
    assert len(f"{name}-2026-05-31") <= 47
