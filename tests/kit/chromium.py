"""Headless Chromium, driven over a pipe by its DevTools protocol: pages are opened, read, clicked and photographed.

https://chromedevtools.github.io/devtools-protocol/ documents the commands. With `--remote-debugging-pipe` messages are
JSON with a NUL at the end, on the descriptors 3 and 4 of the browser, and no port is opened.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kit.local_server import ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 60
_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1280,1000",
    "--remote-debugging-pipe",
]


class PageError(Exception):
    """A command of the browser or a script failed, or what was awaited did not appear."""


class Page:
    """A page of the browser. `problems` has errors of scripts, and what the Content-Security-Policy blocked."""

    def __init__(self, sending: int, receiving: int) -> None:
        """Open an empty page over the descriptors of the pipe."""
        self._sending, self._receiving, self._session = sending, receiving, ""
        self._number, self._rest = 0, b""
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Execute a command; return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._sending, json.dumps(message).encode() + b"\0")
        while True:
            received = self._receive()
            if received.get("id") == self._number:
                if "error" in received:
                    raise PageError(f"{method}: {received['error']['message']}")
                return received["result"]

    def open(self, url: str) -> None:
        """Open a URL, and wait until its script has run."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise PageError(f"{script}: {done['exceptionDetails'].get('exception', {}).get('description')}")
        return done["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Wait until an expression is true; return its value."""
        deadline = time.monotonic() + _SECONDS
        while not (value := self.evaluate(script)):
            if time.monotonic() > deadline:
                raise PageError(f"{script} did not become true; the page shows:\n{self.text()}")
            time.sleep(0.05)
        return value

    def text(self, selector: str = "body") -> str:
        """Return the visible text of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse, once its page was painted: a browser drops earlier clicks."""
        self.wait_for("document.readyState === 'complete'")
        self.evaluate("requestAnimationFrame(() => requestAnimationFrame(() => { window.wasPainted = true }))")
        self.wait_for("window.wasPainted === true")
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.scrollIntoView({{block: 'center'}})")
        x, y = self.evaluate(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Type a text into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def choose(self, selector: str, label: str) -> None:
        """Choose an option of a list by its text."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(
            f"{element}.selectedIndex = [...{element}.options].findIndex(o => o.text === {json.dumps(label)})"
        )
        self.evaluate(f"{element}.dispatchEvent(new Event('change', {{bubbles: true}}))")

    def screenshot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))

    def _receive(self) -> dict[str, Any]:
        """Return the next message; note what it says about problems."""
        while b"\0" not in self._rest:
            piece = os.read(self._receiving, 1 << 16)
            if not piece:
                raise PageError("the browser ended")
            self._rest += piece
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["source"] in {"security", "violation"}:
            self.problems.append(str(parameters["entry"]["text"]))
        return message


@contextmanager
def opened() -> Iterator[Page]:
    """Start the browser. It ends when its pipe is closed, however this process ends.

    Yields:
        A page.

    Raises:
        ServerMissingError: If it is not installed.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise ServerMissingError("chromium is missing; run `make test-servers`, which installs it")
    (commands, sending), (receiving, answers) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="batchsync-chromium-", ignore_cleanup_errors=True) as profile:
        # The shell gives the descriptors the numbers that the browser expects.
        script = f'exec 3<&{commands} 4>&{answers}; exec "$0" "$@"'
        command = ["bash", "-c", script, program, *_OPTIONS, f"--user-data-dir={profile}"]
        with subprocess.Popen(
            command, pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            os.close(commands)
            os.close(answers)
            try:
                yield Page(sending, receiving)
            finally:
                os.close(sending)
                os.close(receiving)
                browser.wait(_SECONDS)
