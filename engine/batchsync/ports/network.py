"""How the requests of a connection leave this machine, and where its files may go: values and a protocol."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from batchsync.core.account_limits import AccountLimits, Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy. `user` and `password` are empty if it needs none."""

    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """URL without credentials."""
        return f"http://{self.host}:{self.port}"

    @property
    def authorization(self) -> str:
        """Value of the header `Proxy-Authorization`; empty without credentials."""
        if not self.user and not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


class StorageMemory(Protocol):
    """Memory of the storage that the files of an account went to, and came from."""

    def first_seen(self, purpose: str, location: str) -> str:
        """Return the location first seen for a purpose; if there is none, remember this one durably.

        Args:
            purpose: Kind of the file, such as `upload` or `results`.
            location: Host, or host and bucket, of its URL.
        """
        ...


#: Reserves calls at a time, or returns when to ask again; None if no state is open to reserve them in.
ReserveCalls: TypeAlias = Callable[[datetime], Reservation | None]


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Network settings of a connection.

    Attributes:
        proxy: Proxy of all requests; None connects directly. Nothing of the environment is used.
        storage_hosts: Patterns of hosts, or of hosts and buckets, that jobs.yaml declares.
        storage_memory: Memory of storage that jobs.yaml does not declare; None remembers nothing.
        limits: Limits of the account, as far as jobs.yaml lowers them.
        reserve_calls: Reserves calls of the account in the state; None counts those of this process only.
        on_transfer: Called at each read and write of a socket, from the thread of the request.
    """

    proxy: Proxy | None = None
    storage_hosts: tuple[str, ...] = ()
    storage_memory: StorageMemory | None = None
    limits: AccountLimits = field(default=AccountLimits())
    reserve_calls: ReserveCalls | None = None
    on_transfer: Callable[[], None] = _nothing
