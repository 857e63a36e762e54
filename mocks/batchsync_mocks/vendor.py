"""Base class of the mocked vendors: the interface that the server uses, and shared behaviour such as uploads."""

from __future__ import annotations

import abc
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response

from batchsync_mocks import disk, ledger, responses, signing
from batchsync_mocks.batches import Batch, Upload
from batchsync_mocks.eager_work import EagerWork
from batchsync_mocks.switches import with_switches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from werkzeug.wrappers import Request

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor_state import SavedState, VendorState

UPLOAD_LIMIT = 8 << 30
ALWAYS_HASHED = 256 << 20
STORAGE = "/_storage"
# Seconds. A batch that takes longer never finishes, and an automatic clock must not hide that.
LONGEST_JUMP = 90 * 86_400


class Vendor(abc.ABC):
    """A mocked vendor: `respond` serves its API and its storage, `entries` gives the ledger."""

    name: ClassVar[str]
    credentials: ClassVar[dict[str, str]]
    switches_type: ClassVar[type[Any]]
    detail_types: ClassVar[Mapping[str, Any]]
    hashes_uploads: ClassVar[bool] = True
    #: Name of the number of rows among the counts of an outcome.
    row_counter: ClassVar[str]
    switches: Any

    def __init__(self, state: VendorState, clock: Clock) -> None:
        """Create the vendor on its state and the shared clock."""
        self.state, self.clock = state, clock
        self.eager_work = EagerWork()
        #: Why the last upload of a batch was refused, by the id of the batch; kept in memory only.
        self.refused: dict[str, str] = {}

    @abc.abstractmethod
    def respond(self, request: Request) -> Response:
        """Return the response to a request that is not for the control API."""

    @abc.abstractmethod
    def process_due(self) -> None:
        """Process all batches that are due at the clock's time."""

    @abc.abstractmethod
    def batches(self, last: int = 0) -> list[dict[str, Any]]:
        """Return every batch, or the last ones if there is a number, with its status, oldest first.

        `refused` is why the last upload was refused; empty if none was, or a later one was accepted.
        """

    @abc.abstractmethod
    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the ledger: an entry per delivered row or record, by batch and line."""

    @abc.abstractmethod
    def rows(self, batch: Batch, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of one batch by line, without the number of the delivery.

        Args:
            batch: The batch.
            skip: Number of entries at the start that are left out, without being read.
        """

    def with_values(self, _batch: Batch, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of a batch with the values that `rows` leaves out; nothing is left out by default."""
        return rows

    def batch_named(self, batch_id: str) -> Batch | None:
        """Return a batch by the id that `batches` shows, or None."""
        return self.state.batches.get(batch_id.lower())

    def row_count(self, batch: Batch) -> int | None:
        """Return the number of rows in a processed batch; None if it is not known yet."""
        counts = batch.outcome.counts if batch.outcome else {}
        return counts.get(self.row_counter)

    def summary(self) -> dict[str, int]:
        """Return the numbers of deliveries, repeated deliveries, and rows by outcome."""
        return ledger.summary(self.entries())

    @abc.abstractmethod
    def next_change(self, batch: Batch) -> float | None:
        """Return when the status of a batch changes next, in epoch seconds; None if it does not wait for the vendor."""

    @abc.abstractmethod
    def error_response(self, status: int, message: str) -> Response:
        """Return an error response in the vendor's format."""

    @abc.abstractmethod
    def not_found(self) -> Response:
        """Return the response to an unknown batch."""

    @abc.abstractmethod
    def unauthorized(self) -> Response:
        """Return the response to invalid credentials."""

    @abc.abstractmethod
    def url_expired(self) -> Response:
        """Return the response of storage to an expired URL."""

    def routing_error(self, error: HTTPException) -> Response:
        """Return the response to an unknown path or method."""
        response = self.error_response(error.code or 500, error.name)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    def set_switches(self, changes: Mapping[str, Any]) -> None:
        """Set switches; they apply from the next request on.

        Raises:
            ValueError: If a switch is unknown, or does not accept the value.
        """
        with self.state.lock:
            self.switches = with_switches(self.switches, changes)

    def on_polled(self, batch: Batch) -> None:
        """Advance an automatic clock to the next status change of a polled batch."""
        at = self.next_change(batch) if self.clock.auto else None
        if at is not None and at - self.clock.now() <= LONGEST_JUMP:
            self.clock.advance_to(at)

    def on_polled_together(self, batches: Iterable[Batch]) -> None:
        """Advance an automatic clock to the earliest status change of batches that were polled by a list."""
        changes = [at for batch in batches if (at := self.next_change(batch)) is not None] if self.clock.auto else []
        if changes and min(changes) - self.clock.now() <= LONGEST_JUMP:
            self.clock.advance_to(min(changes))

    def stored_objects(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the objects the vendor stores besides batches; none by default."""
        return iter(())

    def close(self) -> None:
        """Cancel eager work; later work runs when it is due."""
        with self.state.lock:
            self.eager_work.end()

    def reset(self) -> None:
        """Delete all state."""
        self.close()
        self.refused.clear()
        self.state.clear()

    def check_saved(self, saved: SavedState) -> None:
        """Check that a saved state is one of this vendor.

        Raises:
            ValueError: If a batch lacks a detail, or has one of another type.
        """
        for batch in saved.batches:
            for name, expected in self.detail_types.items():
                detail = batch.details.get(name)
                is_valid = isinstance(detail, expected) and not isinstance(detail, bool)
                if not is_valid:
                    msg = f"Batch {batch.id} of {self.name} has no valid {name!r}."
                    raise ValueError(msg)

    def adopt(self, saved: SavedState) -> None:
        """Take over a restored state, whose files already are in the folder; raises nothing."""
        self.refused.clear()
        self.state.adopt(saved)

    def receive_upload(
        self, request: Request, batch_id: str, *, content_md5: str | None = None, limit: int | None = None
    ) -> Response:
        """Store an uploaded body on disk and record it in its batch, if the batch still accepts uploads.

        A body that does not match `content_md5`, or whose connection breaks, changes nothing. The MD5 of a large body
        is expensive, so it is computed only if the vendor or the client requires it.

        Args:
            request: The upload.
            batch_id: Id of the batch.
            content_md5: Value of the `Content-Md5` header, already validated.
            limit: Maximum number of bytes; None for `UPLOAD_LIMIT`.

        Returns:
            The response of storage.

        Raises:
            ClientDisconnected: If the connection ends within the body.
        """
        small = (request.content_length or 0) <= ALWAYS_HASHED
        hashed = small or self.hashes_uploads or content_md5 is not None
        incoming = self.state.incoming()
        try:
            with disk.open_private(incoming) as stream:
                received = disk.receive(request.stream, stream, limit=limit or UPLOAD_LIMIT, hashed=hashed)
            refusal = signing.body_refusal(content_md5, received.md5) if hashed else None
            if refusal is not None:
                return responses.storage_error(refusal)
            with self.state.lock:
                self.process_due()
                batch = self.state.batches.get(batch_id)
                accepted = batch is not None and self.accepts_upload(batch)
                if batch is not None:
                    self._record_upload(batch, received, stored=incoming if accepted else None)
                recorded = self.state.batches.get(batch_id)
        except ClientDisconnected:
            self._note_refusal(batch_id, "the connection ended within the file")
            raise
        except disk.TooLargeError:
            message = "Your proposed upload exceeds the maximum allowed size"
            return responses.storage_error(signing.Refusal(status=400, code="EntityTooLarge", message=message))
        finally:
            incoming.unlink(missing_ok=True)
        response = Response(status=200)
        if hashed:
            response.headers["ETag"] = f'"{received.md5}"'
        if not accepted:
            return responses.explained(response, "the batch accepts no upload any more; the file was ignored")
        return responses.explained(response, self.upload_problem(recorded) if recorded else "")

    def noted(self, batch_id: str, response: Response) -> Response:
        """Remember why the upload of a batch was refused, or that it was not.

        Args:
            batch_id: Id of the batch; ignored if there is no such batch.
            response: The response of storage.

        Returns:
            The response.
        """
        refused = response.status_code >= HTTPStatus.BAD_REQUEST
        self._note_refusal(batch_id, responses.problem_of(response) if refused else "")
        return response

    def _note_refusal(self, batch_id: str, problem: str) -> None:
        """Remember why the upload of a batch was refused; an empty text if it was not."""
        with self.state.lock:
            self.refused.pop(batch_id, None)
            if problem and self.state.batches.get(batch_id) is not None:
                self.refused[batch_id] = problem

    def upload_problem(self, _batch: Batch) -> str:
        """Return what is wrong with an accepted upload of a batch; empty if nothing is, or is known yet."""
        return ""

    @abc.abstractmethod
    def accepts_upload(self, batch: Batch) -> bool:
        """Return whether an upload to the batch has an effect; otherwise it is accepted and ignored."""

    def _record_upload(self, batch: Batch, received: disk.Received, *, stored: Path | None) -> None:
        """Move a received body to its place, if it is stored, and record the upload in its batch."""
        number = batch.uploads + 1
        if stored is None:
            self.state.save(replace(batch, uploads=number))
            return
        stored.replace(self.state.upload_file(batch, number))
        upload = Upload(
            number=number,
            sequence=self.state.batches.next_upload(),
            size=received.size,
            md5=received.md5,
            at=self.clock.now(),
        )
        self.state.save(replace(batch, upload=upload, uploads=number))
        if batch.upload is not None:
            self.state.upload_file(batch, batch.upload.number).unlink(missing_ok=True)
