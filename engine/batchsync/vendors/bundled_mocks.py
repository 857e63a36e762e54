"""The bundled mocks as a subprocess, and a clock that follows theirs through their control API on loopback."""

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

from batchsync.errors import BatchsyncError, UnavailableError, UsageError
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from batchsync.ports import Clock

_START_SECONDS = 20.0
_OTHER_JOBS_HINT = "select jobs whose vendors have a mock, or omit --mocks"
#: Prefix of the message of `python -m batchsync_mocks` about a vendor without a mock.
_UNKNOWN_VENDOR = "Unknown vendor "


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledMocks:
    """Running mocks.

    Attributes:
        base_urls: Base URL by vendor.
        credentials: Accepted credentials by vendor and name.
        clock_url: URL of the mocks' clock in their control API.
        served: Ready file of mocks that were started outside of this process; None for a subprocess.
    """

    base_urls: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, str]]
    clock_url: str
    served: Path | None = None

    def of(self, vendor: str) -> tuple[str, Mapping[str, str]]:
        """Return the base URL and the accepted credentials of a vendor.

        Raises:
            UsageError: If no mock of the vendor runs.
        """
        if vendor not in self.base_urls:
            hint = _OTHER_JOBS_HINT if self.served else "stop this command and run it again"
            available = ", ".join(sorted(self.base_urls))
            raise UsageError(f"unknown vendor {vendor}: it has no running mock; available: {available}", hint=hint)
        return self.base_urls[vendor], self.credentials[vendor]

    def unreachable_error(self, reason: str) -> UnavailableError:
        """Return the error for mocks that do not respond any more."""
        if self.served is None:
            return UnavailableError(f"the bundled mocks do not respond: {reason}", hint="run the same command again")
        hint = f"start them again: `batchsync mocks serve --ready-file {shlex.quote(str(self.served))}`"
        return UnavailableError(f"the served mocks of {self.served} do not answer: {reason}", hint=hint)


@contextmanager
def bundled_mocks(vendors: Sequence[str], folder: Path, clock: Clock) -> Iterator[BundledMocks]:
    """Run the mocks of some vendors as a subprocess for the length of the context.

    The subprocess ends with this process, even if this one is killed: it watches its standard input.

    Args:
        vendors: Names of the vendors.
        folder: Folder for the state of the mocks, their log and their ready file; created if missing.
        clock: Time source for the start timeout.

    Yields:
        The running mocks.

    Raises:
        UsageError: If a vendor has no mock.
        UnavailableError: If the mocks are not installed, or do not start.
    """
    check_installed()
    make_private(folder)
    ready, log = folder / "ready.json", folder / "mocks.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "batchsync_mocks", *vendors, "--port", "0", "--exit-with-stdin"]
    command += ["--state-dir", str(folder / "state"), "--ready-file", str(ready)]
    with log.open("ab") as output:
        log_start = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, umask=0o077
        )
    try:
        if not _is_ready(process, ready, clock):
            failure = _start_error(log, log_start)
            raise failure
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
    """Return the mocks described by a ready file.

    Raises:
        UnavailableError: If the file is missing or not a ready file.
    """
    try:
        reported = json.loads(ready.read_text(encoding="utf-8"))
        return BundledMocks(
            base_urls={name: item["base_url"] for name, item in reported["vendors"].items()},
            credentials={name: item["credentials"] for name, item in reported["vendors"].items()},
            clock_url=reported["clock_url"],
            served=ready,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnavailableError(
            f"{ready} is not the ready file of running mocks",
            hint="`batchsync mocks serve --ready-file FILE` writes one",
        ) from None


def check_installed() -> None:
    """Check that the mocks are installed.

    Raises:
        UnavailableError: If they are not.
    """
    if find_spec("batchsync_mocks") is None or find_spec("pytest_httpserver") is None:
        raise UnavailableError("the mocks are not installed", hint="pip install '.[mocks]' in a checkout of batchsync")


def _is_ready(process: subprocess.Popen[bytes], ready: Path, clock: Clock) -> bool:
    """Return whether the ready file appears; False if the process ends before, or after `_START_SECONDS`."""
    deadline = clock.now() + timedelta(seconds=_START_SECONDS)
    while not ready.exists():
        if process.poll() is not None or clock.now() > deadline:
            return False
        clock.sleep(timedelta(milliseconds=20))
    return True


def _start_error(log: Path, start: int) -> BatchsyncError:
    """Return the error for mocks that did not start, with the last line of their log."""
    with log.open("rb") as message:
        message.seek(start)
        lines = message.read().decode("utf-8", "replace").splitlines()
    reason = lines[-1].removeprefix("batchsync_mocks: ") if lines else "no message in their log"
    if reason.startswith(_UNKNOWN_VENDOR):
        return UsageError(reason, hint=_OTHER_JOBS_HINT)
    return UnavailableError(
        f"the bundled mocks did not start: {reason}", hint=f"read {log}, then run `batchsync doctor`"
    )


class MockedTime:
    """Clock of the mocks. `sleep` advances it instead of waiting."""

    def __init__(self, mocks: BundledMocks, real: Clock) -> None:
        """Create a clock with the offset between the time of the mocks and real time."""
        self._mocks = mocks
        self._real = real
        self._offset = self._offset_from(self._call("GET", None))

    def now(self) -> datetime:
        """Return the time of the mocks (UTC)."""
        return self._real.now() + self._offset

    def sleep(self, duration: timedelta) -> None:
        """Advance the mocks' clock by a duration, and yield to pending signals.

        Raises:
            UnavailableError: If the mocks do not respond.
        """
        if duration > timedelta(0):
            self._offset = self._offset_from(self._call("POST", {"advance": duration.total_seconds()}))
        self._real.sleep(timedelta(0))

    def _offset_from(self, reported: Mapping[str, float]) -> timedelta:
        """Return the offset between the reported time and real time."""
        return datetime.fromtimestamp(float(reported["epoch"]), tz=UTC) - self._real.now()

    def _call(self, method: str, body: dict[str, float] | None) -> dict[str, float]:
        """Send a request to the control API on loopback and return its JSON response."""
        parts = urlsplit(self._mocks.clock_url)
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
        try:
            payload = json.dumps(body) if body is not None else None
            connection.request(method, parts.path, body=payload, headers={"Content-Type": "application/json"})
            reported: dict[str, float] = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._mocks.unreachable_error(type(error).__name__) from None
        else:
            return reported
        finally:
            connection.close()
