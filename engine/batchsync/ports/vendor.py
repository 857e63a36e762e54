"""What the engine asks of a vendor about one batch, and of time. It knows no vendor.

Implementations raise the three kinds of `lading.errors.VendorFailure` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from lading.core.batch import BatchFile, Slot, Ticket, Verdict
    from lading.core.vendor_rules import VendorRules


class Clock(Protocol):
    """Time, as an argument. Only `app` makes one that reads the wall clock."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Empty:
    """The vendor knows the slot, and no file is in it."""

    word: str


@dataclass(frozen=True, slots=True)
class Running:
    """The vendor has the file and is not done."""

    word: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The vendor is done."""

    verdict: Verdict
    word: str


Status = Empty | Running | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """What the vendor said about the rows, as files on our disk, in the vendor's own format.

    `results` holds the answers of accepted rows, `errors` the refused rows. `errors_missing` is true when the vendor
    says that rows failed and gives no log of them.
    """

    results: Path | None = None
    errors: Path | None = None
    errors_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What the vendor says of a job's target before anything is sent.

    `params` is what allocation needs (kept with the batch); `columns` is the input template, when the vendor has one.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None


class Vendor(Protocol):
    """All the engine ever asks of a vendor, about one batch.

    Raises only `DidNotHappen`, `Unclear`, `Permanent` (and its child `SlotGone`, from `upload` alone).
    """

    def describe(self, target: Mapping[str, str]) -> TargetFacts:
        """Check the credentials and resolve a job's target, before anything is prepared. Repeatable."""
        ...

    def allocate(self, ticket: Ticket, file: BatchFile, params: Mapping[str, str]) -> Slot:
        """Ask for a place to put the file, under our ticket."""
        ...

    def find(self, ticket: Ticket, params: Mapping[str, str]) -> Slot | None:
        """Say whether an earlier allocation under this ticket arrived. A slot without URL can take no file."""
        ...

    def upload(self, slot: Slot, file: BatchFile) -> None:
        """Put the whole file into the slot, or it did not happen."""
        ...

    def poll(self, slot: Slot) -> Status:
        """Say how far the vendor is with the file. An unknown word is Running."""
        ...

    def collect(self, slot: Slot, verdict: Verdict, into: Path) -> Downloads:
        """Fetch results and row errors into the folder, whole or not at all."""
        ...

    def cancel(self, slot: Slot) -> None:
        """Ask the vendor to cancel a batch that it has not begun. Permanent when it cannot."""
        ...


class Connect(Protocol):
    """What an entry point of the group `lading.vendors` names: makes the vendor behind one connection.

    Nothing is asked of the vendor yet. Raises UsageError for a base URL that is not the vendor's.
    """

    def __call__(
        self,
        rules: VendorRules,
        *,
        base_url: str,
        credentials: Mapping[str, str],
        ca_bundle: str | None,
        clock: Clock,
        user_agent: str,
    ) -> Vendor:
        """Return the vendor."""
        ...
