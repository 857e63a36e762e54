"""Git repositories of tests, and an HTTP server that serves them with the program of git."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")


def git(*arguments: str | Path, folder: Path) -> str:
    """Run git without the configuration of this machine, and return its output."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *_IDENTITY, *map(str, arguments)], cwd=folder, env=environ, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Repository:
    """A working tree with the branch main; its path is an URL for git, too."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Repository:
        """Create an empty repository."""
        folder.mkdir(parents=True)
        git("init", "--quiet", "--initial-branch=main", folder=folder)
        return cls(folder)

    def commit(self, **files: str | None) -> str:
        """Write files by name (`__` for a slash, `_yaml` for an ending), or delete them, and commit.

        Returns:
            The commit.
        """
        for key, text in files.items():
            path = self.folder / name_of(key)
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return self.commit_all()

    def commit_all(self, *options: str) -> str:
        """Commit what the working tree holds, and return the commit."""
        git("add", "--all", folder=self.folder)
        git("commit", "--quiet", "--allow-empty", "--message=Change", *options, folder=self.folder)
        return self.head()

    def head(self) -> str:
        """Return the commit of the working tree."""
        return git("rev-parse", "HEAD", folder=self.folder)

    def run(self, *arguments: str | Path) -> str:
        """Run git in the repository."""
        return git(*arguments, folder=self.folder)


def name_of(key: str) -> str:
    """Return a file name from the name of a parameter."""
    name, _, ending = key.replace("__", "/").rpartition("_")
    return f"{name}.{ending}" if name else key


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve the repositories below a folder with `git http-backend`; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        """CGI for the two requests of a fetch."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            """Write no log."""

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            environ = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            if "Content-Encoding" in self.headers:
                environ["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
            done = subprocess.run(["git", "http-backend"], env=environ, input=body, check=True, capture_output=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines()]
            status = next((int(text.split()[0]) for name, text in fields if name == "Status"), 200)
            self.send_response(status)
            for name, text in fields:
                if name != "Status":
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
