"""A local HTTP server that breaks off, changes its file, refuses or lies."""

import contextlib
import http.server
import threading


class Site:
    """What the server does: each request takes the next step, the last for ever.

    A step is how many bytes to send before breaking off (None: all), or a status.
    """

    def __init__(self, data: bytes, steps, tag: str | None = '"v1"', **options):
        self.data, self.steps, self.tag = data, list(steps), tag
        self.ranges = options.get("ranges", True)  # answers Range at all
        self.heeds = options.get("heeds", True)  # heeds If-Range
        self.shift = options.get("shift", 0)  # answers another range than asked
        self.modified = options.get("modified")
        self.location = options.get("location", "")
        self.length = options.get("length", True)  # states Content-Length
        self.requests: list[dict[str, str]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.server.site
        site.requests.append(dict(self.headers))
        step = site.steps.pop(0) if len(site.steps) > 1 else site.steps[0]
        self.close_connection = True
        if self.path == "/from":
            self.send_response(302)
            self.send_header("Location", site.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if isinstance(step, str):
            self.send_response(int(step))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = 0
        asked = self.headers.get("Range")
        mark = self.headers.get("If-Range")
        if (
            asked
            and site.ranges
            and (mark in (site.tag, site.modified) or not site.heeds)
        ):
            first = int(asked.removeprefix("bytes=").rstrip("-")) + site.shift
        if first > len(site.data):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        body = site.data[first:]
        if first:
            whole = len(site.data)
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        if site.tag:
            self.send_header("ETag", site.tag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        if site.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:step])


@contextlib.contextmanager
def served(site: Site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.site = site
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
