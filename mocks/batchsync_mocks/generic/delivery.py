"""Calls that deliver a batch to the generic mock: allocation, upload, commit and cancellation."""

from __future__ import annotations

import shutil
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batchsync_mocks import signing
from batchsync_mocks.batches import Batch
from batchsync_mocks.generic import answers, forms, phases
from batchsync_mocks.generic.processing import BatchProcessor
from batchsync_mocks.generic.read_values import ReadValues
from batchsync_mocks.generic.templates import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request, Response

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.generic.routes import Match
    from batchsync_mocks.generic.spec import Call
    from batchsync_mocks.generic.switches import GenericSwitches
    from batchsync_mocks.vendor_state import VendorState

_ID, _KEY = "allocation.id", "idempotency_key"
_PERMANENT = ("permanent",)


class Delivery(BatchProcessor):
    """Delivery of batches to a vendor of a folder."""

    def __init__(self, state: VendorState, clock: Clock, *, switches: GenericSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock, switches=switches)
        self._values = ReadValues(self.spec, state)

    def values_of(self, request: Request, calls: tuple[Call, ...], batch: Batch) -> dict[str, Any]:
        """Return the values that calls read about a batch, by name."""
        expires = int(self.clock.now()) + int(self.switches.url_lifetime)
        values: dict[str, Any] = {}
        for call in calls:
            is_open, has_logs = self.accepts_upload(batch), self._has_logs(batch)
            values |= self._values.of(request, call, batch, expires=expires, is_open=is_open, has_logs=has_logs)
        return values | ({"status": self._status(batch)} if any("status" in call.read for call in calls) else {})

    def batch_of(self, match: Match) -> Batch | None:
        """Return the batch that a request is about, or None."""
        captured, every = match.captured, self.state.batches.all()
        wanted = {str(captured[name]) for name in (_ID, _KEY) if name in captured}
        for batch in reversed(every) if wanted else ():
            if batch.reference in wanted or wanted & {str(text) for text in batch.details["ids"]}:
                return batch
        for name, value in captured.items():
            if name.startswith("found.") and not wanted:
                return self._values.batch_with_token(name.removeprefix("found."), str(value), every)
        return None

    def allocate(self, request: Request, match: Match) -> Response:
        """Return the answer to the allocate call. One of a key that is in use is answered as the vendor spec says."""
        call, key = match.route.call, str(match.captured.get(_KEY, ""))
        used = [b for b in self.state.batches.all() if key and b.reference == key and b.cancelled is None]
        if used:
            rule = next((rule for rule in call.responses if rule.status == HTTPStatus.CONFLICT), None)
            if rule is not None:
                return answers.refusal(self.spec, call, rule.status, "A batch with this reference exists")
            if "allocate" in self.spec.repeatable or _KEY in names_of(call.url):
                return self._accepted(request, match, used[-1])
        batch = self._new_batch(key, match.captured, has_id="id" in call.read)
        return self._accepted(request, match, batch)

    def upload(self, request: Request, match: Match) -> Response:
        """Return the answer to an upload to the API; without an allocate call, it creates the batch."""
        call = match.route.call
        captured = {**match.captured, **forms.unpack(request, call)}
        with self.state.lock:
            self.process_due()
            if "allocate" in self.spec.calls:
                batch = self.batch_of(match)
            else:
                key = str(match.captured.get(_ID, ""))
                used = next((b for b in self.state.batches.all() if key and b.reference == key), None)
                if used is not None and any(rule.status == HTTPStatus.CONFLICT for rule in call.responses):
                    return answers.refusal(self.spec, call, HTTPStatus.CONFLICT, "A batch with this reference exists")
                batch = self._new_batch(key, captured, has_id="id" in call.read)
        if batch is None:
            return answers.refused_as(self.spec, call, ("absent",), 404, "No such batch")
        return self.receive_answered(request, call, batch.id)

    def receive_answered(self, request: Request, call: Call, batch_id: str) -> Response:
        """Return the answer to an upload to the API, after its file was received.

        Args:
            request: The request.
            call: The upload call.
            batch_id: Id of the batch's file.
        """
        batch = self.state.batches.get(batch_id)
        content_md5 = request.headers.get("Content-Md5")
        if batch is None or not self.accepts_upload(batch):
            return answers.refused_as(self.spec, call, _PERMANENT, 409, "The batch takes no file any more")
        if signing.digest_refusal(content_md5) is not None:
            return answers.refused_as(self.spec, call, _PERMANENT, 400, "Content-MD5 is no MD5")
        received = self.noted(batch_id, self.receive_upload(request, batch_id, content_md5=content_md5))
        if received.status_code != HTTPStatus.OK:
            return answers.refused_as(self.spec, call, _PERMANENT, received.status_code, "The file was not stored")
        with self.state.lock:
            batch = self.state.batches.get(batch_id) or batch
            if "id" in call.read and "allocate" in self.spec.calls:
                ids = [*batch.details["ids"], str(self.state.stable_uuid("upload", batch.number))]
                batch = self.state.save(replace(batch, details={**batch.details, "ids": ids}))
            values = self.values_of(request, (call,), batch)
            return answers.accepted(self.spec, (call,), values, {_ID: self.id_of(batch)})

    def commit(self, request: Request, match: Match) -> Response:
        """Return the answer to the commit call. A second one that gives an id of its own processes the file again."""
        call, batch = match.route.call, self.batch_of(match)
        if batch is None:
            return answers.refused_as(self.spec, call, ("absent", *_PERMANENT), 404, "No such batch")
        if batch.upload is None or batch.cancelled is not None:
            return answers.refused_as(self.spec, call, _PERMANENT, 409, "The batch has no file to process")
        is_repeated = batch.details["committed"] is not None
        if is_repeated and "commit" in self.spec.repeatable:
            return self._accepted(request, match, batch)
        if is_repeated and "id" not in call.read:
            return answers.refused_as(self.spec, call, _PERMANENT, 409, "The batch is being processed")
        if is_repeated:
            batch = self._copy(batch)
        ids = [*batch.details["ids"]]
        if "id" in call.read:
            ids.append(str(self.state.stable_uuid("commit", batch.number)))
        details = {**batch.details, "committed": self.clock.now(), "ids": ids}
        return self._accepted(request, match, self.state.save(replace(batch, details=details)))

    def cancel(self, _request: Request, match: Match) -> Response:
        """Return the answer to the cancel call, which a vendor accepts until it has the whole file."""
        call, batch = match.route.call, self.batch_of(match)
        if batch is None:
            return answers.refused_as(self.spec, call, ("absent", *_PERMANENT), 404, "No such batch")
        if phases.submitted_at(batch, self.spec) is not None or batch.cancelled is not None:
            return answers.refused_as(self.spec, call, _PERMANENT, 409, "The batch cannot be cancelled any more")
        self.state.save(replace(batch, cancelled=self.clock.now()))
        return answers.accepted(self.spec, (call,), {"id": self.id_of(batch)}, {_ID: self.id_of(batch)})

    def _accepted(self, request: Request, match: Match, batch: Batch) -> Response:
        """Return the answer to a call about a batch that was accepted."""
        given = {name: str(value) for name, value in match.captured.items()} | {_ID: self.id_of(batch)}
        return answers.accepted(self.spec, match.route.calls, self.values_of(request, match.route.calls, batch), given)

    def _new_batch(self, key: str, captured: Mapping[str, Any], *, has_id: bool) -> Batch:
        """Create a batch; `has_id`: the vendor chooses its id, which is the client's key otherwise."""
        number = self.state.batches.next_number()
        file_id = str(self.state.stable_uuid("batch", number))
        params = {name: str(value) for name, value in captured.items() if name.startswith("params.")}
        details = {"ids": [file_id if has_id or not key else key], "committed": None, "given": params}
        return self.state.save(
            Batch(id=file_id, number=number, reference=key, created=self.clock.now(), details=details)
        )

    def _copy(self, batch: Batch) -> Batch:
        """Return a new batch with the same file, for another commit of it."""
        copied = self._new_batch(batch.reference, batch.details["given"], has_id=True)
        shutil.copyfile(self._upload_of(batch), self.state.upload_file(copied, 1))
        upload = replace(batch.upload, number=1, sequence=self.state.batches.next_upload()) if batch.upload else None
        details = {**copied.details, "ids": [*batch.details["ids"][:-1]]}
        return self.state.save(replace(copied, upload=upload, uploads=1, details=details))
