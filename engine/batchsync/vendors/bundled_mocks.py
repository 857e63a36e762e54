"""Start the bundled mocks as a process of their own, and keep time with them.

It talks to the mocks' control address on loopback only, and knows nothing of what they mock.
"""

from __future__ import annotations

import http.client
import json
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lading.errors import EnvironmentProblem, LadingError, UsageError
from lading.folders import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lading.ports import Clock

_START_SECONDS = 20.0
_OTHERS = "name the jobs whose vendors have one, or leave --mocks out"
#: How the program of the mocks begins when it was asked for a vendor that it does not know.
_NO_SUCH = "No mock of "


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledMocks:
    """The running mocks: where each vendor is and which credentials it takes.

    `served` is the ready file of mocks that somebody else started.
    """

    base_urls: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, str]]
    clock_url: str
    served: Path | None = None

    def of(self, vendor: str) -> tuple[str, Mapping[str, str]]:
        """Return the base URL of a vendor and the credentials it takes.

        Raises:
            UsageError: when these mocks are of other vendors.
        """
        if vendor not in self.base_urls:
            hint = _OTHERS if self.served else "stop, and run the same command again"
            raise UsageError(f"no mock of {vendor} runs; there are {', '.join(sorted(self.base_urls))}", hint=hint)
        return self.base_urls[vendor], self.credentials[vendor]

    def gone(self, why: str) -> EnvironmentProblem:
        """Return what to say when they do not answer any more."""
        if self.served is None:
            return EnvironmentProblem(f"the bundled mocks went away: {why}", hint="run the same command again")
        hint = f"start them again: `lading mocks serve --ready-file {shlex.quote(str(self.served))}`"
        return EnvironmentProblem(f"the served mocks of {self.served} do not answer: {why}", hint=hint)


@contextmanager
def bundled_mocks(vendors: Sequence[str], folder: Path, clock: Clock) -> Iterator[BundledMocks]:
    """Run the mocks of these vendors until the context is left, with their world kept in `folder`.

    The process ends with ours, however ours ends: it watches its standard input.

    Raises:
        UsageError: when a vendor has no mock.
        EnvironmentProblem: when they are not installed, or do not start.
    """
    check_installed()
    make_private(folder)
    ready, log = folder / "ready.json", folder / "mocks.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "lading_mocks", *vendors, "--port", "0", "--exit-with-stdin"]
    command += ["--state-dir", str(folder / "world"), "--ready-file", str(ready)]
    with log.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, umask=0o077
        )
    try:
        if not _is_ready(process, ready, clock):
            raise _not_started(log, before)
        yield replace(running_mocks(ready), served=None)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def running_mocks(ready: Path) -> BundledMocks:
    """Return the mocks that wrote this ready file.

    Raises:
        EnvironmentProblem: when there is no such file, or it is not one.
    """
    try:
        told = json.loads(ready.read_text(encoding="utf-8"))
        return BundledMocks(
            base_urls={name: one["base_url"] for name, one in told["vendors"].items()},
            credentials={name: one["credentials"] for name, one in told["vendors"].items()},
            clock_url=told["clock_url"],
            served=ready,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise EnvironmentProblem(
            f"{ready} is not the ready file of running mocks",
            hint="`lading mocks serve --ready-file FILE` writes one",
        ) from None


def check_installed() -> None:
    """Make sure that there are mocks to start.

    Raises:
        EnvironmentProblem: when the extra that brings them is not installed.
    """
    if find_spec("lading_mocks") is None or find_spec("pytest_httpserver") is None:
        raise EnvironmentProblem(
            "the mocks are not installed", hint="run `pip install '.[mocks]'` in a clone of lading"
        )


def _is_ready(process: subprocess.Popen[bytes], ready: Path, clock: Clock) -> bool:
    """Wait for the ready file; False when the process ended before, or takes too long."""
    give_up = clock.now() + timedelta(seconds=_START_SECONDS)
    while not ready.exists():
        if process.poll() is not None or clock.now() > give_up:
            return False
        clock.sleep(timedelta(milliseconds=20))
    return True


def _not_started(log: Path, before: int) -> LadingError:
    """Return why they did not start: the last line of what they wrote themselves."""
    with log.open("rb") as said:
        said.seek(before)
        lines = said.read().decode("utf-8", "replace").splitlines()
    why = lines[-1].removeprefix("lading_mocks: ") if lines else "they say nothing"
    if why.startswith(_NO_SUCH):
        return UsageError(why, hint=_OTHERS)
    return EnvironmentProblem(f"the bundled mocks did not start: {why}", hint=f"{log} says more; then `lading doctor`")


class MockedTime:
    """The mocks' clock, as a Clock: `sleep` advances it, so that a wait of minutes takes none."""

    def __init__(self, mocks: BundledMocks, real: Clock) -> None:
        """Read how far the mocks' time is from the real one."""
        self._mocks = mocks
        self._real = real
        self._ahead = self._difference(self._ask("GET", None))

    def now(self) -> datetime:
        """Return the mocks' moment."""
        return self._real.now() + self._ahead

    def sleep(self, duration: timedelta) -> None:
        """Let the mocks' clock jump by the duration, and stop here for a moment so that a signal is noticed."""
        if duration > timedelta(0):
            self._ahead = self._difference(self._ask("POST", {"advance": duration.total_seconds()}))
        self._real.sleep(timedelta(0))

    def _difference(self, told: Mapping[str, float]) -> timedelta:
        return datetime.fromtimestamp(float(told["epoch"]), tz=UTC) - self._real.now()

    def _ask(self, method: str, body: dict[str, float] | None) -> dict[str, float]:
        """Ask the control address; it is ours and on this machine."""
        parts = urlsplit(self._mocks.clock_url)
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
        try:
            payload = json.dumps(body) if body is not None else None
            connection.request(method, parts.path, body=payload, headers={"Content-Type": "application/json"})
            answer: dict[str, float] = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._mocks.gone(type(error).__name__) from None
        else:
            return answer
        finally:
            connection.close()
