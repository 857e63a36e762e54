"""A deployment whose `serve --page` runs as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from kit.deployment import JOBS, Deployment, write_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks.serving import Running

_SECONDS = 60


@dataclass(frozen=True)
class Paged:
    """The page of a running process."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **headers: str) -> requests.Response:
        """Return the answer to a GET request."""
        return requests.get(self.url + path, headers=headers, timeout=_SECONDS, allow_redirects=False)

    def post(self, path: str, **fields: str) -> requests.Response:
        """Send a form as a page of this server does; return the answer."""
        headers = {"Origin": self.url}
        return requests.post(self.url + path, fields, headers=headers, timeout=_SECONDS, allow_redirects=False)

    def field(self, path: str, form: str, name: str) -> str:
        """Return the value of a hidden field of a form on a page."""
        found = re.search(rf'action="{form}".*?name="{name}" value="([^"]*)"', self.get(path).text, re.DOTALL)
        assert found is not None, self.get(path).text
        return found[1]

    def wait_for(self, pattern: str) -> str:
        """Wait until the output of the process has a pattern; return the match."""
        return _wait_for(self.process, self.log, pattern)

    def wait_until(self, path: str, text: str) -> str:
        """Wait until a page has a text; return the page."""
        deadline = time.monotonic() + _SECONDS
        while text not in (page := self.get(path).text):
            assert time.monotonic() < deadline, page
            time.sleep(0.1)
        return page


@contextmanager
def paged(deployment: Deployment, *more: str, **variables: str) -> Iterator[Paged]:
    """Run `serve --page` on a free port, in the time of the mocks; end it by SIGTERM.

    Args:
        deployment: The deployment; each job gets a schedule of its own.
        *more: Further arguments.
        **variables: Further variables of the environment.

    Yields:
        The page.
    """
    log = deployment.folder / "paged.log"
    environ = deployment.environ() | {"BATCHSYNC_SKIP_POLL_WAIT": ""} | variables
    page = [] if any(word.startswith("--page=") for word in more) else ["--page=127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            deployment.command("serve", *page, *more), cwd=deployment.folder, env=environ, stdout=out, stderr=out
        )
    try:
        url = _wait_for(process, log, r"page: (http://\S+)/")
        yield Paged(url.removeprefix("page: ").rstrip("/"), log, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    text = log.read_text(encoding="utf-8")
    assert "Traceback" not in text, text
    assert "failed: " not in text, text


def scheduled(folder: Path, mocks: Running) -> Deployment:
    """Return a new deployment whose job `guests` has a schedule that does not fire during a test."""
    (folder / "jobs.yaml").write_text(
        JOBS.replace("    on_removed:", "    schedule: {every: 30d}\n    on_removed:"), encoding="utf-8"
    )
    write_sources(folder)
    return Deployment(folder, mocks)


def _wait_for(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    deadline = time.monotonic() + _SECONDS
    while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.02)
    return found[0]
