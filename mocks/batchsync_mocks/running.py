"""What `serve` gives: mocks that are being served, with everything a test asks of them.

It does not know sockets, nor which vendors there are.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, Self

from lading_mocks import disk, ledger, snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from pytest_httpserver import HTTPServer

    from lading_mocks.clock import Clock
    from lading_mocks.control import Kit
    from lading_mocks.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorMock:
    """One vendor of a mock: what a test of one connection needs, without naming the vendor each time."""

    running: Running
    name: str

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return self.running.urls[self.name]

    @property
    def credentials(self) -> dict[str, str]:
        """Credentials that the vendor takes."""
        return self.running.credentials(self.name)

    @property
    def clock(self) -> Clock:
        """The clock that all vendors of the mock share."""
        return self.running.clock

    def ledger(self, *, values: bool = False) -> list[dict[str, Any]]:
        """Every row or record delivered, how often, in which batch, and its fate."""
        return self.running.ledger(self.name, values=values)

    def batches(self) -> list[dict[str, Any]]:
        """Every batch with its state, oldest first."""
        return self.running.batches(self.name)

    def store(self) -> list[dict[str, Any]]:
        """What the vendor holds now."""
        return self.running.store(self.name)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass at once."""
        self.running.advance(seconds)

    def arm(self, *armed: Fault) -> None:
        """Arm faults for this vendor."""
        self.running.arm(*(replace(fault, vendor=self.name) for fault in armed))

    def faults(self) -> list[dict[str, Any]]:
        """What is armed, how many requests each fault met, and how many it struck."""
        return [one for one in self.running.faults() if one["vendor"] in {None, self.name}]

    def switch(self, **turned: Any) -> None:
        """Turn some switches, from the next request on."""
        self.running.switch(self.name, **turned)

    def revoke_tokens(self) -> None:
        """Make every token given out so far worthless."""
        self.running.revoke_tokens(self.name)

    def environ(self) -> dict[str, str]:
        """Our environment, in which lading finds these mocks for every connection and waits by their clock."""
        return self.running.environ()


class Running:
    """Mocks that are being served. Use it as a context manager, or call `close`."""

    def __init__(
        self, kit: Kit, servers: Mapping[str, HTTPServer], state_dir: Path, *, temporary: bool, ca: Path | None
    ) -> None:
        """Hold what `serve` put together; a `temporary` state directory goes on `close`."""
        self._kit, self._servers = kit, servers
        self._temporary = temporary
        self.state_dir, self.ca, self.clock = state_dir, ca, kit.clock

    @property
    def urls(self) -> dict[str, str]:
        """Base URL by vendor, without a slash at the end."""
        return {name: server.url_for("").rstrip("/") for name, server in self._servers.items()}

    @property
    def url(self) -> str:
        """Base URL of the first vendor served."""
        return next(iter(self.urls.values()))

    def of(self, vendor: str) -> VendorMock:
        """One of the vendors by itself.

        Raises:
            KeyError: it is not served here.
        """
        if vendor not in self._kit.vendors:
            raise KeyError(vendor)
        return VendorMock(running=self, name=vendor)

    def credentials(self, vendor: str) -> dict[str, str]:
        """Credentials that the vendor takes; well known and good for nothing else."""
        return dict(self._kit.vendors[vendor].credentials)

    def ledger(self, vendor: str, *, values: bool = False) -> list[dict[str, Any]]:
        """Every row or record delivered, how often, in which batch, and its fate."""
        return list(ledger.counted(self._kit.vendors[vendor].entries(values=values)))

    def batches(self, vendor: str) -> list[dict[str, Any]]:
        """Every batch with its state, oldest first."""
        return self._kit.vendors[vendor].batches()

    def store(self, vendor: str) -> list[dict[str, Any]]:
        """What the vendor holds now (Sitecore: guests, orders, tracking events)."""
        return list(self._kit.vendors[vendor].holdings())

    def requests(self) -> list[dict[str, Any]]:
        """The last requests to all vendors, oldest first, without their queries."""
        return list(self._kit.requests)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass at once."""
        self._kit.clock.advance(seconds)

    def arm(self, *armed: Fault) -> None:
        """Arm faults; those already armed stay."""
        self._kit.faults.arm(armed)

    def disarm(self) -> None:
        """Disarm all faults."""
        self._kit.faults.clear()

    def faults(self) -> list[dict[str, Any]]:
        """What is armed, how many requests each fault met, and how many it struck."""
        return self._kit.faults.report()

    def revoke_tokens(self, vendor: str) -> None:
        """Make every token the vendor gave out so far worthless."""
        self._kit.vendors[vendor].memory.revoke()

    @property
    def seed(self) -> int:
        """The seed from which the chances of the faults are drawn."""
        return self._kit.faults.seed

    def switch(self, vendor: str, **turned: Any) -> None:
        """Turn some switches of a vendor, from the next request on.

        Raises:
            ValueError: there is no such switch, or it does not take this value.
        """
        self._kit.vendors[vendor].turn(turned)

    def switches(self, vendor: str) -> Any:
        """The vendor's switches as they stand: `MotorwebSwitches` or `SitecoreSwitches`."""
        return self._kit.vendors[vendor].switches

    def transcript(self) -> str:
        """Requests and answers as JSON lines, without secrets and bodies."""
        return "".join(self._kit.transcript.lines())

    def snapshot(self) -> bytes:
        """The whole world as a tar, for small worlds; `GET /_mock/snapshot` streams it."""
        with snapshots.take(self.state_dir, self._kit.vendors) as stream:
            return stream.read()

    def restore(self, given: IO[bytes]) -> None:
        """Take the world of a snapshot back, clock included.

        Raises:
            ValueError: it is no snapshot of these vendors.
        """
        snapshots.put_back(given, self.state_dir, self._kit.vendors, self.clock)

    def ready(self) -> dict[str, Any]:
        """Say what a client needs to know: the process, each vendor's address and credentials, the clock, the CA."""
        return {
            "pid": os.getpid(),
            "vendors": {
                name: {"base_url": url, "credentials": self.credentials(name)} for name, url in self.urls.items()
            },
            "clock_url": f"{self.url}/_mock/clock",
            "ca": str(self.ca) if self.ca else None,
        }

    def environ(self) -> dict[str, str]:
        """Our environment, in which lading finds these mocks for every connection and waits by their clock.

        What lading remembers is of these mocks, so it is kept beside their world: to others the same rows are new.
        """
        folder = self.state_dir.resolve()
        file = folder / "ready.json"
        disk.write_json(file, self.ready())
        told = {"LADING_MOCKS": "1", "LADING_MOCKS_AT": str(file), "LADING_STATE": str(folder / "lading")}
        return {**os.environ, **told}

    def reset(self) -> None:
        """Forget batches, files, stores, faults and requests; the clock stays."""
        self._kit.reset()

    def close(self) -> None:
        """Stop serving; a state directory that was asked for stays."""
        for server in self._servers.values():
            if server.is_running():
                server.stop()
        for vendor in self._kit.vendors.values():
            vendor.close()
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        """Serve until the block ends."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop serving."""
        self.close()
