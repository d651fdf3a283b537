"""An object store on the loopback, one per process, whose requests can be counted and broken.

It is moto's server behind a gate; the gate lets a request through, answers it with an error, or
cuts the connection.
"""

import atexit
import contextlib
import itertools
import logging
import os
import socket
import threading
from functools import cache

import pyarrow.fs as pafs
import pytest

ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>of the test</Message></Error>'
OURS = "AWS_"
NUMBERS = itertools.count()


class Gate:
    """Lets requests to the buckets through, and counts them by number from 0 and method."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()
        self.open()

    def open(self):
        """Let everything through, and count from 0."""
        self.seen, self.refuse, self.spoil = [], lambda number, request: None, ""

    def __call__(self, environ, start_response):
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        with self.lock:
            number = len(self.seen)
            self.seen.append(request)
        how = self.refuse(number, request)
        if how is None:
            answer = self.application(environ, start_response)
            if self.spoil and request.startswith("GET") and request.endswith(self.spoil):
                return [b"".join(answer).replace(b"models", b"modelz")]
            return answer
        if how == LOST:
            list(self.application(environ, lambda status, head: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if how in (DOWN, LOST):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        status, code = how
        content = ERROR % code.encode()
        head = [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))]
        start_response(status, head)
        return [content]


DOWN = "the connection is cut"
LOST = "done, and the answer is lost"
FAILS = ("503 Service Unavailable", "ServiceUnavailable")
DENIED = ("403 Forbidden", "AccessDenied")


@cache
def server():
    """Start the server once; return its gate and endpoint."""
    pytest.importorskip("moto", reason="moto[s3,server] is not installed")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, gate, threaded=True)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    atexit.register(running.shutdown)
    return gate, f"http://127.0.0.1:{running.port}"


class Bucket:
    """A bucket of the test's own."""

    def __init__(self, gate, endpoint, name):
        self.gate, self.endpoint, self.name = gate, endpoint, name
        self.filesystem = pafs.S3FileSystem(
            access_key="key",
            secret_key="secret",
            endpoint_override=endpoint,
            region="us-east-1",
            allow_bucket_creation=True,
        )
        self.filesystem.create_dir(name)

    def uri(self, path="", attempts=1):
        """Return a URI in it; a request is not tried again, so that a test need not wait."""
        return f"s3://{self.name}/{path}?max_attempts={attempts}"

    def tree(self, path=""):
        """Return every object below a path and its bytes."""
        root = f"{self.name}/{path}".rstrip("/")
        selector = pafs.FileSelector(root, recursive=True, allow_not_found=True)
        there = self.filesystem.get_file_info(selector)
        files = [info.path for info in there if info.type == pafs.FileType.File]
        return {key[len(root) + 1 :]: self.read(key) for key in sorted(files)}

    def read(self, key):
        with self.filesystem.open_input_stream(key) as stream:
            return stream.read()

    def put(self, path, content):
        with self.filesystem.open_output_stream(f"{self.name}/{path}") as stream:
            stream.write(content)

    def send(self, folder, path):
        """Put a folder's files below a path."""
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            self.put(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    @contextlib.contextmanager
    def refusing(self, how, which):
        """Refuse the requests that ``which`` chooses by number and text."""
        self.gate.open()
        self.gate.refuse = lambda number, request: how if which(number, request) else None
        try:
            yield
        finally:
            self.gate.open()


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket, and an environment from which it is reached, with a temporary folder of its own."""
    gate, endpoint = server()
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "TMPDIR": str(tmp_path / "temporary"),
    }
    (tmp_path / "temporary").mkdir()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    gate.open()
    return Bucket(gate, endpoint, f"bucket-{os.getpid()}-{next(NUMBERS)}")


def is_change(request):
    """Whether a request would change what lies on the store."""
    return request.startswith(("PUT", "POST", "DELETE"))
