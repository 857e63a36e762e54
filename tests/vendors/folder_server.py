"""A small HTTP server that plays one vendor, and jobs that use it, for tests of vendors that are data alone.

It shares no code with the client and none with the mocks: each test states what its vendor answers.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol

from kit.command_forks import command_forks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the vendor answers. `content` is sent as JSON unless it is text."""

    status: int = 200
    content: Any = None


class Vendor(Protocol):
    """The vendor's side."""

    def answer(self, request: Received, base_url: str) -> Reply:
        """Return the answer to a request."""
        ...


@dataclass
class Served:
    """A vendor at an address, with what it received."""

    vendor: Vendor
    url: str = ""
    requests: list[Received] = field(default_factory=list)


@contextmanager
def serving(vendor: Vendor) -> Iterator[Served]:
    """Serve a vendor on a free port of the loopback interface."""
    served = Served(vendor)

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            served.requests.append(request)
            reply = vendor.answer(request, served.url)
            text = reply.content if isinstance(reply.content, str) else json.dumps(reply.content or {})
            kind = "text/csv" if isinstance(reply.content, str) else "application/json"
            self.send_response(reply.status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.reply)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def run(folder: Path, *arguments: str, secrets: dict[str, str]) -> tuple[int, Any]:
    """Run batchsync in a folder; return its exit code and the result part of its JSON output.

    Args:
        folder: Folder of jobs.yaml.
        arguments: Arguments after `-o json`.
        secrets: Environment variables of credentials.
    """
    done = command_forks().run(["-o", "json", *arguments], cwd=folder, environ=os.environ | secrets, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    result = json.loads(done.stdout)["result"] if done.stdout.startswith("{") else done.stdout + done.stderr
    return done.returncode, result
