"""Values that answers contain because calls read them: ids, URLs, times, and names of documents."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from batchsync_mocks import datetimes
from batchsync_mocks.generic import answers, forms, links
from batchsync_mocks.generic.templates import fill, whole_placeholder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.wrappers import Request

    from batchsync_mocks.batches import Batch
    from batchsync_mocks.generic.spec import Call, Download, Spec
    from batchsync_mocks.vendor_state import VendorState


class ReadValues:
    """Values that the answers of a vendor contain."""

    def __init__(self, spec: Spec, state: VendorState) -> None:
        """Create the values of a vendor."""
        self._spec, self._state = spec, state

    def of(
        self, request: Request, call: Call, batch: Batch, *, expires: int, is_open: bool, has_logs: bool
    ) -> dict[str, Any]:
        """Return the values that a call reads about a batch, by name; None for those that it does not have.

        Args:
            request: The request, whose host URLs have.
            call: The call.
            batch: The batch.
            expires: End of validity of URLs, in epoch seconds.
            is_open: Whether the batch takes a file.
            has_logs: Whether the documents about its rows are available.
        """
        if call.name in {"allocate", "find"}:
            upload = self._spec.calls["upload"]
            is_linked = not upload.url.startswith("/") and is_open
            values: dict[str, Any] = {
                "id": batch.details["ids"][-1],
                "url": links.url(request, upload, batch, self._state, expires=expires) if is_linked else None,
                "expires_at": datetimes.format_millis(expires) if is_linked else None,
                "fields": forms.signed_fields(self._state, links.path_of(upload, batch), expires=expires)
                if is_linked
                else None,
            }
            return {name: values[name] for name in call.read if name in values}
        if call.name in self._spec.calls:
            return {"id": batch.details["ids"][-1]} if "id" in call.read else {}
        found: dict[str, Any] = {}
        for name in call.read:
            target = self._link_of(call, name)
            if not has_logs:
                found[name] = None
            elif target is not None:
                found[name] = links.url(request, target, batch, self._state, expires=expires)
            else:
                found[name] = self.token(call, name, batch)
        return found

    def token(self, call: Call, name: str, batch: Batch) -> str:
        """Return the id of a document, which a call before its download reads under a name."""
        return str(self._state.stable_uuid(f"{call.name}:{name}", batch.number))

    def batch_with_token(self, name: str, value: str, batches: list[Batch]) -> Batch | None:
        """Return the batch of the document with an id.

        Args:
            name: Name under which a call reads the id.
            value: The id.
            batches: All batches.
        """
        calls = [call for download in self._spec.downloads for call in download.locate if name in call.read]
        return next((b for b in batches if any(self.token(call, name, b) == value for call in calls)), None)

    def identity(self, template: str, batch_id: str) -> str:
        """Return what a list of batches identifies a batch by."""
        return fill(template, {"allocation.id": batch_id, "idempotency_key": batch_id})

    def further_columns(self, download: Download) -> dict[str, str]:
        """Return the columns of the results in an exchange, with the values of its first row."""
        if download.kind != "results":
            return {}
        text = answers.text_of(self._spec, download.call) or ""
        rows = list(csv.reader(io.StringIO(text), delimiter=self._spec.row_log.tables.get("delimiter", ",")))
        header, values = (rows[0], rows[1] if len(rows) > 1 else []) if rows else ([], [])
        known = {name for schema in self._spec.schemas.values() for name in (schema[0].get("fields") or {})}
        return {
            name: values[number] if number < len(values) else ""
            for number, name in enumerate(header)
            if name not in known
        }

    def _link_of(self, call: Call, name: str) -> Call | None:
        """Return the call whose whole URL is what another call reads under a name; None if it is an id."""
        return next((later for later in self._later(call) if whole_placeholder(later.url) == f"found.{name}"), None)

    def _later(self, call: Call) -> Iterator[Call]:
        """Yield the calls of a download after one of its calls."""
        for download in self._spec.downloads:
            chain = (*download.locate, download.call)
            for number, item in enumerate(chain):
                if item.name == call.name:
                    yield from chain[number + 1 :]
