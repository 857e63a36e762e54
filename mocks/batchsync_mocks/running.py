"""Handle of served mocks, as returned by `serve`: addresses, credentials, ledgers, clock, faults and switches."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Self, cast

from batchsync_mocks import disk, ledger, snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from pytest_httpserver import HTTPServer

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.control import MockContext
    from batchsync_mocks.faults import Fault
    from batchsync_mocks.ledger import LedgerEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorMock:
    """Handle of a single vendor of served mocks."""

    running: Running
    name: str

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return self.running.urls[self.name]

    @property
    def credentials(self) -> dict[str, str]:
        """Credentials that the vendor accepts."""
        return self.running.credentials(self.name)

    @property
    def clock(self) -> Clock:
        """The clock shared by all vendors."""
        return self.running.clock

    def ledger(self, *, values: bool = False) -> list[LedgerEntry]:
        """Return every delivered row with batch, delivery number and outcome; `values` adds record values."""
        return self.running.ledger(self.name, values=values)

    def batches(self) -> list[dict[str, Any]]:
        """Return every batch with its status, oldest first."""
        return self.running.batches(self.name)

    def store(self) -> list[dict[str, Any]]:
        """Return the objects the vendor stores now."""
        return self.running.store(self.name)

    def advance(self, seconds: float) -> None:
        """Advance the clock by a number of seconds."""
        self.running.advance(seconds)

    def arm(self, *faults: Fault) -> None:
        """Arm faults for this vendor."""
        self.running.arm(*(replace(fault, vendor=self.name) for fault in faults))

    def faults(self) -> list[dict[str, Any]]:
        """Return the armed faults, with the requests `matched` and the `hits` of each."""
        return [fault for fault in self.running.faults() if fault["vendor"] in {None, self.name}]

    def switch(self, **changed: Any) -> None:
        """Set switches; they apply from the next request on."""
        self.running.switch(self.name, **changed)

    def revoke_tokens(self) -> None:
        """Revoke every token issued so far."""
        self.running.revoke_tokens(self.name)

    @property
    def control_headers(self) -> dict[str, str]:
        """Request headers with the control token, for requests to the control API at `url`."""
        return self.running.control_headers

    def environ(self) -> dict[str, str]:
        """Return environment variables that direct batchsync to these mocks and their clock."""
        return self.running.environ()


class Running:
    """Served mocks. Use it as a context manager, or call `close`."""

    def __init__(
        self,
        context: MockContext,
        servers: Mapping[str, HTTPServer],
        state_dir: Path,
        *,
        temporary: bool,
        ca: Path | None,
    ) -> None:
        """Create the handle; see `serve`.

        Args:
            context: State shared by the servers.
            servers: Servers by vendor.
            state_dir: The state directory.
            temporary: Whether `close` removes the state directory.
            ca: Certificate of the certificate authority, with HTTPS.
        """
        self._context, self._servers = context, servers
        self._temporary = temporary
        self.state_dir, self.ca, self.clock = state_dir, ca, context.clock

    @property
    def urls(self) -> dict[str, str]:
        """Base URL by vendor, without a slash at the end."""
        return {name: server.url_for("").rstrip("/") for name, server in self._servers.items()}

    @property
    def url(self) -> str:
        """Base URL of the first vendor served."""
        return next(iter(self.urls.values()))

    def of(self, vendor: str) -> VendorMock:
        """Return the handle of a single vendor.

        Raises:
            KeyError: If the vendor is not served.
        """
        if vendor not in self._context.vendors:
            raise KeyError(vendor)
        return VendorMock(running=self, name=vendor)

    @property
    def control_token(self) -> str:
        """Token that the control API demands."""
        return self._context.access.token

    @property
    def control_headers(self) -> dict[str, str]:
        """Request headers with the control token, for requests to the control API."""
        return self._context.access.headers

    def credentials(self, vendor: str) -> dict[str, str]:
        """Return credentials that the vendor accepts; they are constants of the mocks."""
        return dict(self._context.vendors[vendor].credentials)

    def ledger(self, vendor: str, *, values: bool = False) -> list[LedgerEntry]:
        """Return every delivered row with batch, delivery number and outcome; `values` adds record values."""
        entries = ledger.with_delivery_numbers(self._context.vendors[vendor].entries(values=values))
        return [cast("LedgerEntry", entry) for entry in entries]

    def batches(self, vendor: str) -> list[dict[str, Any]]:
        """Return every batch with its status, oldest first."""
        return self._context.vendors[vendor].batches()

    def store(self, vendor: str) -> list[dict[str, Any]]:
        """Return the objects the vendor stores now (Sitecore: guests, orders, tracking events)."""
        return list(self._context.vendors[vendor].stored_objects())

    def requests(self) -> list[dict[str, Any]]:
        """Return the last requests to all vendors, oldest first, without their queries."""
        return list(self._context.requests)

    def advance(self, seconds: float) -> None:
        """Advance the clock by a number of seconds."""
        self._context.clock.advance(seconds)

    def arm(self, *faults: Fault) -> None:
        """Arm faults; those already armed stay."""
        self._context.faults.arm(faults)

    def disarm(self) -> None:
        """Disarm all faults."""
        self._context.faults.clear()

    def faults(self) -> list[dict[str, Any]]:
        """Return the armed faults, with the requests `matched` and the `hits` of each."""
        return self._context.faults.report()

    def revoke_tokens(self, vendor: str) -> None:
        """Revoke every token the vendor issued so far."""
        self._context.vendors[vendor].state.revoke_tokens()

    @property
    def seed(self) -> int:
        """Seed of the random draws of faults."""
        return self._context.faults.seed

    def switch(self, vendor: str, **changed: Any) -> None:
        """Set switches of a vendor; they apply from the next request on.

        Raises:
            ValueError: If a switch is unknown, or does not accept the value.
        """
        self._context.vendors[vendor].set_switches(changed)

    def switches(self, vendor: str) -> Any:
        """Return the vendor's current switches: `MotorwebSwitches` or `SitecoreSwitches`."""
        return self._context.vendors[vendor].switches

    def transcript(self) -> str:
        """Return requests and responses as JSON lines, without secrets and bodies."""
        return "".join(self._context.transcript.lines())

    def snapshot(self) -> bytes:
        """Return the complete state as a tar, in memory; `GET /_mock/snapshot` streams it."""
        with snapshots.create(self.state_dir, self._context.vendors) as stream:
            return stream.read()

    def restore(self, archive: IO[bytes]) -> None:
        """Restore the state of a snapshot, clock included. After an error the state is the same as before.

        Raises:
            ValueError: If the archive is no snapshot of these vendors.
            OSError: If the files cannot be written or replaced.
        """
        snapshots.restore(archive, self.state_dir, self._context.vendors, self.clock)

    def ready(self) -> dict[str, Any]:
        """Return the content of the ready file.

        Returns:
            `pid`, `vendors` (`base_url` and `credentials` by vendor), `clock_url`, `control_token`, `ca`.
        """
        return {
            "pid": os.getpid(),
            "vendors": {
                name: {"base_url": url, "credentials": self.credentials(name)} for name, url in self.urls.items()
            },
            "clock_url": f"{self.url}/_mock/clock",
            "control_token": self.control_token,
            "ca": str(self.ca) if self.ca else None,
        }

    def environ(self) -> dict[str, str]:
        """Return environment variables that direct batchsync to these mocks and their clock.

        The state folder of batchsync is set, too, inside that of the mocks: for other mocks the same rows are new.
        """
        folder = self.state_dir.resolve()
        file = folder / "ready.json"
        disk.write_json(file, self.ready())
        variables = {
            "BATCHSYNC_MOCKS": "1",
            "BATCHSYNC_MOCKS_AT": str(file),
            "BATCHSYNC_STATE": str(folder / "batchsync"),
        }
        return {**os.environ, **variables}

    def reset(self) -> None:
        """Delete batches, files, stores, faults and requests; the clock stays."""
        self._context.reset()

    def close(self) -> None:
        """Stop serving; remove a temporary state directory."""
        for server in self._servers.values():
            if server.is_running():
                server.stop()
        for vendor in self._context.vendors.values():
            vendor.close()
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return this handle; the mocks are served until the block ends."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop serving."""
        self.close()
