"""Ports of vendors and of time.

Vendor implementations raise `batchsync.errors.VendorError` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from batchsync.core.batch import Allocation, BatchFile, IdempotencyKey, Verdict
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.core.verification import Observation, Probe


class Clock(Protocol):
    """Injected clock. Only `app` creates a clock that reads wall time."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait for a duration, or until a signal arrives."""
        ...


@dataclass(frozen=True, slots=True)
class Empty:
    """The vendor has the allocation, and no file was uploaded to it, or the upload was not committed."""

    vendor_status: str


@dataclass(frozen=True, slots=True)
class Running:
    """The vendor has the file and is processing it."""

    vendor_status: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The vendor has finished processing."""

    verdict: Verdict
    vendor_status: str


Status = Empty | Running | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """Downloaded files in the vendor's own format.

    Attributes:
        results: Results of accepted rows.
        errors: Row log of refused rows.
        unprocessed: Input columns of the rows that the vendor did not process.
        errors_missing: Whether the vendor reports failed rows and returns no row log.
        errors_empty: Whether the vendor names a row log, and the document has no bytes.
        failed: Number of failed rows that the vendor counts; None if it does not count them.
        doubt: Why the answers do not tell what the target holds; every row is unknown then. Empty if they do.
    """

    results: Path | None = None
    errors: Path | None = None
    unprocessed: Path | None = None
    errors_missing: bool = False
    errors_empty: bool = False
    failed: int | None = None
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The vendor's description of a job's target, fetched before anything is sent.

    Attributes:
        params: Parameters that allocation needs; stored with each batch.
        columns: Columns of the vendor's input template, if it has one.
        clock_offset: How far the vendor's clock is ahead of ours; None if it is unknown or was returned before.
        removal_params: Parameters of batches that have only removals; None if the job has no such batches.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    clock_offset: timedelta | None = None
    removal_params: Mapping[str, str] | None = None


class Vendor(Protocol):
    """Calls to a vendor account about one target or batch.

    Methods raise only RetryableError, AmbiguousOutcomeError and PermanentError; `upload` also its subclass
    AllocationExpiredError.
    """

    def describe(self, target: Mapping[str, str], mode: str = "") -> TargetFacts:
        """Check the credentials and describe a job's target. Repeatable.

        Args:
            target: Values of `target:` by key.
            mode: Mode of the job, which the parameters of the target may depend on.
        """
        ...

    def allocate(self, idempotency_key: IdempotencyKey, file: BatchFile, params: Mapping[str, str]) -> Allocation:
        """Request an allocation for the file.

        Args:
            idempotency_key: Name under which the vendor knows the batch.
            file: The batch file.
            params: Parameters of the target, from `describe`.
        """
        ...

    def find(self, idempotency_key: IdempotencyKey, params: Mapping[str, str]) -> Allocation | None:
        """Return the allocation made under this idempotency key, or None. Without a URL it takes no file."""
        ...

    def upload(self, allocation: Allocation, file: BatchFile) -> Allocation | None:
        """Upload the whole file, or nothing.

        Args:
            allocation: The allocation.
            file: The batch file; its `path` is a local file during this call, elsewhere a location.

        Returns:
            The allocation to poll by if the response names another one, else None.
        """
        ...

    def commit(self, allocation: Allocation, file: BatchFile) -> Allocation:
        """Tell the vendor to process the uploaded file. Called only if the vendor's policy `commits`.

        Args:
            allocation: The allocation with the file.
            file: The batch file.

        Returns:
            The allocation to poll by, perhaps with another id.
        """
        ...

    def poll(self, allocation: Allocation) -> Status:
        """Return the vendor's status of the batch. An unlisted vendor status means Running."""
        ...

    def collect(self, allocation: Allocation, verdict: Verdict, into: Path) -> Downloads:
        """Download results and row log into a folder, completely or not at all.

        Args:
            allocation: The allocation of the batch.
            verdict: Verdict of the batch, which decides what there is to download.
            into: Existing, empty folder.
        """
        ...

    def cancel(self, allocation: Allocation) -> None:
        """Ask the vendor to cancel a batch that it has not started.

        Raises:
            PermanentError: If the vendor does not cancel it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOption:
    """An entry of the vendor's list that a key of a job's `target` selects from, such as a service.

    Attributes:
        id: The vendor's id of it.
        name: Its name; empty if the vendor gives none.
        description: Its description; empty if the vendor gives none.
    """

    id: str
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTemplate:
    """The vendor's template of an input file, as sent, and the names in its first line."""

    document: bytes
    columns: tuple[str, ...]


@runtime_checkable
class VendorCatalog(Protocol):
    """What a vendor offers for the targets of jobs. Optional: a vendor of a Python package need not implement it.

    Methods raise as those of `Vendor`.
    """

    def options(self) -> tuple[TargetOption, ...]:
        """Return what the target of a job may select. Repeatable.

        Raises:
            PermanentError: If the vendor has no list.
        """
        ...

    def input_template(self, option: TargetOption) -> InputTemplate | None:
        """Return the input template of an option; None if it has none. Repeatable.

        Raises:
            PermanentError: If the vendor has no templates.
        """
        ...


@runtime_checkable
class ObservableVendor(Protocol):
    """A vendor whose answers can be observed. Optional, as `VendorCatalog`. Methods raise as those of `Vendor`."""

    def observe(self, listener: Callable[[Observation], None]) -> None:
        """Tell a listener of each answer from now on."""
        ...

    def probe(self, probe: Probe) -> None:
        """Make a request that changes nothing, and tell the listener of its answer."""
        ...


class Connect(Protocol):
    """Factory behind an entry point of the group `batchsync.vendors`: creates the vendor of a connection.

    Makes no request.
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
        """Return the vendor.

        Args:
            rules: Rules of the vendor's spec.
            base_url: Base URL of the vendor's API.
            credentials: Resolved credentials by name.
            ca_bundle: Path of a CA bundle; None uses the default.
            clock: Clock of all durations.
            user_agent: Value of the User-Agent header.

        Raises:
            UsageError: If the base URL is not one of the vendor's.
        """
        ...
