"""The vendor of a job as the loop calls it: each call is emitted as an event when it ends."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import ResponseClass
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    PermanentError,
    RetryableError,
    VendorError,
)
from batchsync.ports import VendorCalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batchsync.core.batch import Allocation, Batch, BatchFile, IdempotencyKey, Verdict
    from batchsync.ports import Downloads, EventSink, Status, TargetFacts, Vendor
    from batchsync.reconcile.services import JobContext, Services

#: What a failure of a call proves about it; subclasses first.
_ANSWERS: tuple[tuple[type[VendorError], ResponseClass], ...] = (
    (AllocationExpiredError, ResponseClass.EXPIRED),
    (PermanentError, ResponseClass.PERMANENT),
    (RetryableError, ResponseClass.NOT_APPLIED),
    (AmbiguousOutcomeError, ResponseClass.OUTCOME_UNKNOWN),
)


def with_emitted_calls(context: JobContext, services: Services, batch: Batch | None = None) -> JobContext:
    """Return the job with a vendor whose calls are emitted as events.

    Args:
        context: The job.
        services: Where events go.
        batch: The batch that the calls are about, if any.
    """
    emitter = EmittingVendor(
        vendor=context.vendor,
        events=services.events,
        job=context.job.name,
        connection=context.job.connection,
        run=batch.run if batch else "",
        batch=batch.id if batch else "",
    )
    return replace(context, vendor=emitter)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmittingVendor:
    """Vendor that emits `VendorCalled` after each call. Implements `batchsync.ports.Vendor`.

    Attributes:
        vendor: The vendor that is called.
        events: Where events go.
        job: Name of the job.
        connection: Name of its connection.
        run: Id of the run; empty if the calls are about no batch.
        batch: Id of the batch; empty if the calls are about none.
    """

    vendor: Vendor
    events: EventSink
    job: str
    connection: str
    run: str = ""
    batch: str = ""

    def describe(self, target: Mapping[str, str], mode: str = "") -> TargetFacts:
        """Return the description of a target; see `Vendor.describe`."""
        with self._emitted("describe"):
            return self.vendor.describe(target, mode)

    def allocate(self, idempotency_key: IdempotencyKey, file: BatchFile, params: Mapping[str, str]) -> Allocation:
        """Request an allocation; see `Vendor.allocate`.

        Args:
            idempotency_key: Name under which the vendor knows the batch.
            file: The batch file.
            params: Parameters of the target.

        Returns:
            The allocation.
        """
        with self._emitted("allocate"):
            return self.vendor.allocate(idempotency_key, file, params)

    def find(self, idempotency_key: IdempotencyKey, params: Mapping[str, str]) -> Allocation | None:
        """Return the allocation made under an idempotency key, or None; see `Vendor.find`."""
        with self._emitted("find"):
            return self.vendor.find(idempotency_key, params)

    def upload(self, allocation: Allocation, file: BatchFile) -> Allocation | None:
        """Upload the whole file, or nothing; see `Vendor.upload`.

        Returns:
            The allocation to poll by, if it is another one.
        """
        with self._emitted("upload"):
            return self.vendor.upload(allocation, file)

    def commit(self, allocation: Allocation, file: BatchFile) -> Allocation:
        """Have the vendor process the uploaded file; see `Vendor.commit`.

        Returns:
            The allocation to poll by.
        """
        with self._emitted("commit"):
            return self.vendor.commit(allocation, file)

    def poll(self, allocation: Allocation) -> Status:
        """Return the vendor's status of the batch; see `Vendor.poll`."""
        with self._emitted("poll"):
            return self.vendor.poll(allocation)

    def collect(self, allocation: Allocation, verdict: Verdict, into: Path) -> Downloads:
        """Download results and row log; see `Vendor.collect`.

        Args:
            allocation: The allocation of the batch.
            verdict: Verdict of the batch.
            into: Existing, empty folder.

        Returns:
            The downloads.
        """
        with self._emitted("collect"):
            return self.vendor.collect(allocation, verdict, into)

    def cancel(self, allocation: Allocation) -> None:
        """Ask the vendor to cancel a batch; see `Vendor.cancel`."""
        with self._emitted("cancel"):
            self.vendor.cancel(allocation)

    @contextmanager
    def _emitted(self, call: str) -> Iterator[None]:
        """Emit the call of this block when it ends. A call that is interrupted, as by a signal, is not emitted."""
        begun, answer = monotonic(), ResponseClass.OK
        try:
            yield
        except VendorError as failure:
            answer = next(found for kind, found in _ANSWERS if isinstance(failure, kind))
            raise
        except BaseException:
            begun = -1.0
            raise
        finally:
            if begun >= 0:
                self.events.emit(
                    VendorCalled(
                        job=self.job,
                        connection=self.connection,
                        call=call,
                        answer=answer.value,
                        duration=timedelta(seconds=monotonic() - begun),
                        run=self.run,
                        batch=self.batch,
                    )
                )
