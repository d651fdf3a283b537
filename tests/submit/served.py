"""Servers that answer as dashboards of Ray do, or as something else does."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(answers, token=None):
    """Serve ``path -> (code, body, headers)``; yield the address and what was asked."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization")))
            code, body, headers = answers.get(self.path, (404, "", {}))
            if token is not None and self.path != "/api/version":
                given = self.headers.get("Authorization")
                code = 401 if given is None else 403 if given != f"Bearer {token}" else code
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


def ray(version="2.60.0"):
    """Return what a dashboard of Ray answers."""
    return {
        "/api/version": (200, {"version": "4", "ray_version": version}, {}),
        "/api/jobs/": (200, [], {}),
    }
