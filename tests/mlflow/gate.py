"""A gate before a server: counts requests, and answers some of them otherwise, or not at all.

What goes wrong is made here, on the loopback; what goes well, the real server does.
"""

import http.client
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DOWN = "the connection is cut before anything is done"
LOST = "done, and the answer is lost"
HANG = "nothing is answered"
DRIP = "a letter now and then"
PATIENCE = 20.0


def answer(status, body, kind="application/json", **head):
    return (status, body.encode(), {"Content-Type": kind, **head})


class Gate:
    """What became of the requests; ``how`` says what becomes of the next ones."""

    def __init__(self, target):
        self.target = None if target is None else urlsplit(target).netloc
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.open()

    def open(self):
        """Let everything through, and count from 0."""
        self.seen, self.how = [], lambda number, request: None
        self.head = lambda head: None

    def count(self, text):
        return sum(text in request for request in self.seen)

    def fault(self, which, how, times=1):
        """Answer the first requests that hold a text in another way."""
        left = [times]

        def chosen(number, request):
            if which not in request or not left[0]:
                return None
            left[0] -= 1
            return how

        self.how = chosen

    def take(self, method, path, body):
        request = f"{method} {path} {body[:400].decode('latin-1')}"
        with self.lock:
            self.seen.append(request)
            return self.how, len(self.seen) - 1, request

    def forward(self, method, path, head, body):
        connection = http.client.HTTPConnection(self.target, timeout=PATIENCE)
        kept = {k: v for k, v in head.items() if k.lower() not in {"host", "connection"}}
        connection.request(method, path, body, kept)
        got = connection.getresponse()
        content = got.read()
        connection.close()
        return got.status, content, {"Content-Type": got.headers.get("Content-Type", "text/plain")}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name):
        if name.startswith("do_"):  # do_GET, do_POST, …
            return self.handle_any
        raise AttributeError(name)

    def handle_any(self):
        gate = self.server.gate
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gate.head(self.headers)
        choose, number, request = gate.take(self.command, self.path, body)
        how = choose(number, request)
        if how in (HANG, DRIP):
            self.stall(how)
        elif how in (DOWN, LOST):
            if how == LOST:
                gate.forward(self.command, self.path, self.headers, body)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.give(*(how or gate.forward(self.command, self.path, self.headers, body)))

    def give(self, status, content, head):
        self.send_response_only(status)
        if "Date" not in head:
            self.send_header("Date", self.date_time_string())
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stall(self, how):
        self.close_connection = True
        try:
            if how == DRIP:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not self.server.gate.over.wait(0.1):
                if how == DRIP:
                    self.wfile.write(b"x")
        except OSError:  # whoever asked is gone
            return

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        pass  # clients that are killed leave in the middle


@contextmanager
def gate(target=None):
    """Serve before a server, or where there is none; yield the address and the gate."""
    with Server(("127.0.0.1", 0), Handler) as serving:
        serving.gate = Gate(target)
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}", serving.gate
        finally:
            serving.gate.over.set()
            serving.shutdown()
            thread.join()
