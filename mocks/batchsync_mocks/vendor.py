"""What every mocked vendor offers to the server that carries it, and what they all do alike.

It does not know sockets, faults, or which vendors there are.
"""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response

from lading_mocks import answers, disk, ledger, signing
from lading_mocks.ahead import Ahead
from lading_mocks.switches import turned
from lading_mocks.world import Batch, Upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from werkzeug.wrappers import Request

    from lading_mocks.clock import Clock
    from lading_mocks.memory import Memory

UPLOAD_LIMIT = 8 << 30
ALWAYS_HASHED = 256 << 20
STORAGE = "/_storage"
# A vendor that takes longer is stuck, and an automatic clock does not hide that.
LONGEST_JUMP = 90 * 86_400


class Vendor(abc.ABC):
    """One vendor: its API and its storage behind `respond`, its oracle behind `entries`."""

    name: ClassVar[str]
    credentials: ClassVar[dict[str, str]]
    kind: ClassVar[type[Any]]
    hashes_uploads: ClassVar[bool] = True
    switches: Any

    def __init__(self, memory: Memory, clock: Clock) -> None:
        """Take the memory and the clock to live by."""
        self.memory, self.clock = memory, clock
        self.ahead = Ahead()

    @abc.abstractmethod
    def respond(self, request: Request) -> Response:
        """Answer any request that is not for the control page."""

    @abc.abstractmethod
    def settle(self) -> None:
        """Do all the work that is due at the clock's moment."""

    @abc.abstractmethod
    def batches(self) -> list[dict[str, Any]]:
        """List every batch with its state, oldest first."""

    @abc.abstractmethod
    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Give the ledger: one entry per row or record delivered, by batch and line."""

    def summary(self) -> dict[str, int]:
        """Count the deliveries, how many of them were repetitions, and how many met which fate."""
        return ledger.summary(self.entries())

    @abc.abstractmethod
    def next_change(self, batch: Batch) -> float | None:
        """Tell when a batch that waits on the vendor will show its next status; None when it waits on nobody."""

    @abc.abstractmethod
    def problem(self, status: int, message: str) -> Response:
        """Answer with an error in the vendor's own shape."""

    @abc.abstractmethod
    def unknown(self) -> Response:
        """Answer as to a batch that is not known."""

    @abc.abstractmethod
    def denied(self) -> Response:
        """Answer as to credentials that are worth nothing."""

    @abc.abstractmethod
    def expired(self) -> Response:
        """Answer as storage does when a URL has expired."""

    def unrouted(self, error: HTTPException) -> Response:
        """Answer to a path or a method that there is not."""
        answer = self.problem(error.code or 500, error.name)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return answer

    def turn(self, given: Mapping[str, Any]) -> None:
        """Turn some switches, from the next request on.

        Raises:
            ValueError: there is no such switch, or it does not take this value.
        """
        with self.memory.lock:
            self.switches = turned(self.switches, given)

    def polled(self, batch: Batch) -> None:
        """Let an automatic clock jump to what a client that asks again is waiting for."""
        at = self.next_change(batch) if self.clock.auto else None
        if at is not None and at - self.clock.now() <= LONGEST_JUMP:
            self.clock.reach(at)

    def holdings(self) -> Iterator[dict[str, Any]]:
        """Give what the vendor holds beyond its batches; a vendor that only answers holds nothing."""
        return iter(())

    def close(self) -> None:
        """End the work that was begun ahead of its time; what is asked for after that is done when it is."""
        with self.memory.lock:
            self.ahead.end()

    def reset(self) -> None:
        """Forget everything."""
        self.close()
        self.memory.forget()

    def remembered(self) -> None:
        """Go on from what the folder holds now, which may be another world than before."""
        self.close()
        self.memory.load()

    def take_in(
        self, request: Request, batch_id: str, *, content_md5: str | None = None, limit: int | None = None
    ) -> Response:
        """Store an uploaded body on disk and note it in its batch, unless the batch no longer wants one.

        A body that does not match `content_md5`, or whose connection breaks, changes nothing. The MD5 of a large
        body costs more than all the rest, so it is worked out only where the vendor or the customer wants it.
        """
        small = (request.content_length or 0) <= ALWAYS_HASHED
        hashed = small or self.hashes_uploads or content_md5 is not None
        incoming = self.memory.incoming()
        try:
            with incoming.open("wb") as stream:
                received = disk.receive(request.stream, stream, limit=limit or UPLOAD_LIMIT, hashed=hashed)
            refusal = signing.body_refusal(content_md5, received.md5) if hashed else None
            if refusal is not None:
                return answers.as_refusal(refusal)
            with self.memory.lock:
                self.settle()
                batch = self.memory.world.get(batch_id)
                if batch is not None:
                    self._note(batch, received, keep=incoming if self.wants(batch) else None)
        except disk.TooLarge:
            message = "Your proposed upload exceeds the maximum allowed size"
            return answers.as_refusal(signing.Refusal(status=400, code="EntityTooLarge", message=message))
        finally:
            incoming.unlink(missing_ok=True)
        answer = Response(status=200)
        if hashed:
            answer.headers["ETag"] = f'"{received.md5}"'
        return answer

    @abc.abstractmethod
    def wants(self, batch: Batch) -> bool:
        """Tell whether an upload to the batch still counts; otherwise it is stored and ignored."""

    def _note(self, batch: Batch, received: disk.Received, *, keep: Path | None) -> None:
        number = batch.uploads + 1
        if keep is None:
            self.memory.keep(replace(batch, uploads=number))
            return
        keep.replace(self.memory.upload_file(batch, number))
        upload = Upload(
            number=number,
            sequence=self.memory.world.next_upload(),
            size=received.size,
            md5=received.md5,
            at=self.clock.now(),
        )
        self.memory.keep(replace(batch, upload=upload, uploads=number))
        if batch.upload is not None:
            self.memory.upload_file(batch, batch.upload.number).unlink(missing_ok=True)
