"""The bundled mocks as a subprocess, and a clock that follows theirs through their control API on loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
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
#: Variables of the environment that the mocks program inherits: what its interpreter needs.
_PASSED_ON = re.compile(
    r"PATH|HOME|TMPDIR|TEMP|TMP|LANG|LANGUAGE|LC_\w+|TZ|VIRTUAL_ENV|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|"
    r"PYTHON(PATH|HOME|PLATLIBDIR|USERBASE|NOUSERSITE|UTF8|IOENCODING|COERCECLOCALE|DONTWRITEBYTECODE|"
    r"PYCACHEPREFIX|HASHSEED|UNBUFFERED|FAULTHANDLER|MALLOC|WARNINGS)"
)
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
        control_token: Token that the control API demands for changes.
        served: Ready file of mocks that were started outside of this process; None for a subprocess.
    """

    base_urls: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, str]]
    clock_url: str
    control_token: str = field(repr=False)
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
        """Return the error for mocks that do not respond any more, or do not accept the token of their ready file."""
        if self.served is None:
            return UnavailableError(f"the bundled mocks do not respond: {reason}", hint="run the same command again")
        hint = f"start them again: `batchsync mocks serve --ready-file {shlex.quote(str(self.served))}`"
        return UnavailableError(f"the served mocks of {self.served} do not answer: {reason}", hint=hint)


@contextmanager
def bundled_mocks(
    vendors: Sequence[str], folder: Path, clock: Clock, options: Sequence[str] = ()
) -> Iterator[BundledMocks]:
    """Run the mocks of some vendors as a subprocess for the length of the context.

    The subprocess ends with this process, even if this one is killed: it watches its standard input.

    Args:
        vendors: Arguments that name the vendors, as `spec.mock_arguments` returns them.
        folder: Folder for the state of the mocks, their log and their ready file; created if missing.
        clock: Time source for the start timeout.
        options: Further options of the mocks program, such as `--profile`.

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
    command = [*mocks_command(), *vendors, "--port", "0", "--exit-with-stdin"]
    command += ["--state-dir", str(folder / "state"), "--ready-file", str(ready), *options]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        log_start = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
            command,
            stdin=subprocess.PIPE,
            # The addresses and the token are in the ready file.
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=mocks_environ(),
            start_new_session=True,
            umask=0o077,
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
            control_token=str(reported["control_token"]),
            served=ready,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnavailableError(
            f"{ready} is not the ready file of running mocks",
            hint="`batchsync mocks serve --ready-file FILE` writes one",
        ) from None


def ledger_summary(mocks: BundledMocks, vendor: str) -> Mapping[str, int]:
    """Return the numbers of rows in the ledger of a mock: delivered, and by outcome.

    Args:
        mocks: The running mocks.
        vendor: Name of the vendor.

    Raises:
        UnavailableError: If the mocks do not respond.
    """
    parts = urlsplit(mocks.base_urls[vendor])
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("GET", "/_mock/ledger?summary=1")
        response = connection.getresponse()
        found: dict[str, int] = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise mocks.unreachable_error(type(error).__name__) from None
    finally:
        connection.close()
    return found


def post_control(mocks: BundledMocks, page: str, content: Mapping[str, object]) -> dict[str, float]:
    """Change something through the control API of running mocks.

    Args:
        mocks: The running mocks.
        page: Name of the page below `/_mock/`, such as `reset`.
        content: JSON object to send.

    Returns:
        The answer, such as the time of the clock.

    Raises:
        UnavailableError: If the mocks do not respond, or refuse the token.
    """
    parts = urlsplit(mocks.clock_url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {mocks.control_token}"}
        path = f"{parts.path.rpartition('/')[0]}/{page}"
        connection.request("POST", path, body=json.dumps(content), headers=headers)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise mocks.unreachable_error(f"their {page} responds with status {response.status}")
        reported: dict[str, float] = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise mocks.unreachable_error(type(error).__name__) from None
    else:
        return reported
    finally:
        connection.close()


def mocks_command() -> list[str]:
    """Return the command line of the mocks program, which imports nothing from the working directory."""
    return [sys.executable, "-P", "-m", "batchsync_mocks"]


def mocks_environ(*more: str) -> dict[str, str]:
    """Return the environment of the mocks program: what its interpreter needs, and neither credentials nor settings.

    Args:
        more: Names of further variables to pass on.
    """
    return {name: text for name, text in os.environ.items() if _PASSED_ON.fullmatch(name) or name in more}


def check_installed() -> None:
    """Check that the mocks are installed.

    Raises:
        UnavailableError: If they are not.
    """
    if find_spec("batchsync_mocks") is None or find_spec("pytest_httpserver") is None:
        raise UnavailableError(
            "the mocks are not installed",
            hint="pip install '.[mocks]' in a checkout of batchsync",
            name="environment.package",
        )


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
    """Clock of the mocks. `sleep` advances it instead of waiting, or waits."""

    def __init__(self, mocks: BundledMocks, real: Clock, *, skips_waits: bool = True) -> None:
        """Create a clock with the offset between the time of the mocks and real time.

        Args:
            mocks: The running mocks.
            real: The wall clock.
            skips_waits: Whether `sleep` advances the clock of the mocks. Otherwise it waits until their clock, at the
                rate that they were started with, shows the time.

        Raises:
            UnavailableError: If the mocks do not respond, or refuse the token: before anything is sent to them.
        """
        self._mocks = mocks
        self._real = real
        self._skips_waits = skips_waits
        self._rate = 1.0
        self._offset = self._offset_from(self._change({}))

    def now(self) -> datetime:
        """Return the time of the mocks (UTC)."""
        return self._real.now() + self._offset

    def sleep(self, duration: timedelta) -> None:
        """Advance the mocks' clock by a duration and yield to pending signals, or wait for that duration.

        Raises:
            UnavailableError: If the mocks do not respond.
        """
        if not self._skips_waits:
            self._real.sleep(duration / self._rate)
            self._offset = self._offset_from(self._change({}))
            return
        if duration > timedelta(0):
            self._offset = self._offset_from(self._change({"advance": duration.total_seconds()}))
        self._real.sleep(timedelta(0))

    def _offset_from(self, reported: Mapping[str, float]) -> timedelta:
        """Return the offset between the reported time and real time; remember the reported rate."""
        self._rate = float(reported["rate"])
        return datetime.fromtimestamp(float(reported["epoch"]), tz=UTC) - self._real.now()

    def _change(self, changes: dict[str, float]) -> dict[str, float]:
        """Change the mocks' clock through their control API and return its report."""
        return post_control(self._mocks, "clock", changes)
