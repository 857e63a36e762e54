"""HTTP API of Motorweb BDP: every operation of motorweb-bdp.md, section 1, under `/batch/v1` and under `/v1`.

The bodies of service errors are invented (section 12, 9), and so is the list of batches (19).
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule, Submount
from werkzeug.wrappers import Request, Response

from batchsync_mocks import datetimes, responses, signing
from batchsync_mocks.batches import Batch
from batchsync_mocks.motorweb import answer_forms, create_request, files, phases, problems, rows, tokens
from batchsync_mocks.motorweb.processing import SERVICE, SERVICE_CODE, BatchProcessor
from batchsync_mocks.vendor import STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.motorweb.switches import MotorwebSwitches
    from batchsync_mocks.vendor_state import VendorState

# Seconds. The documented example has an `expiry` 8 hours after creation, although the URL is valid for 900 seconds.
RETURNED_EXPIRY = 8 * 3600
_ROUTES = [
    Rule("/batch-services", endpoint="list_services", methods=["GET"]),
    Rule("/batch-services/<service_id>/template", endpoint="template", methods=["GET"]),
    Rule("/batches", endpoint="list_batches", methods=["GET"]),
    Rule("/batches", endpoint="create_batch", methods=["POST"]),
    Rule("/batches/<batch_id>", endpoint="get_batch", methods=["GET"]),
    Rule("/batches/<batch_id>", endpoint="delete_batch", methods=["DELETE"]),
    Rule("/batches/<batch_id>/reports", endpoint="reports", methods=["GET"]),
    Rule("/batches/<batch_id>/errors", endpoint="errors", methods=["GET"]),
    Rule("/batches/<batch_id>/errors/download", endpoint="download_errors", methods=["GET"]),
]


_PREFIXES = ("/batch/v1", "/v1")


class _NotFoundError(Exception):
    """Error for an unknown service or batch."""


@functools.cache
def _routes() -> Map:
    """Return the URL map, compiled once per process."""
    shared = [Submount(prefix, [rule.empty() for rule in _ROUTES]) for prefix in _PREFIXES]
    return Map(
        [
            Rule("/auth/v1/token", endpoint="token", methods=["POST"]),
            Rule(f"{STORAGE}/user-upload/<name>", endpoint="put_object", methods=["PUT", "GET"]),
            Rule(f"{STORAGE}/user-results/<name>", endpoint="get_object", methods=["GET", "PUT"]),
            *shared,
        ],
        strict_slashes=False,
        merge_slashes=False,
    )


class Motorweb(BatchProcessor):
    """Mock of the vendor `motorweb-bdp`."""

    name = "motorweb-bdp"
    credentials: ClassVar[dict[str, str]] = {
        "client_id": "not-a-real-client-id-of-the-batchsync-motorweb-mock",
        "client_secret": "not-a-real-secret-motorweb-mock",
    }

    def __init__(self, state: VendorState, clock: Clock, *, switches: MotorwebSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock, switches=switches)
        self._routes = _routes()
        self._public_handlers: dict[str, Callable[..., Response]] = {
            "token": self._token,
            "put_object": self._put_object,
            "get_object": self._get_object,
        }
        self._authenticated_handlers: dict[str, Callable[..., Response]] = {
            "list_services": self._list_services,
            "template": self._template,
            "list_batches": self._list_batches,
            "create_batch": self._create_batch,
            "get_batch": self._get_batch,
            "delete_batch": self._delete_batch,
            "reports": self._reports,
            "errors": self._errors,
            "download_errors": self._download_errors,
        }

    def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        try:
            return self._routed(request)
        except (create_request.BadRequestError, responses.BadBodyError) as error:
            return self.error_response(400, str(error))
        except _NotFoundError:
            return self.not_found()
        except HTTPException as error:
            return self.routing_error(error)

    def _routed(self, request: Request) -> Response:
        """Authenticate a request and pass it to the handler of its path."""
        endpoint, values = self._routes.bind_to_environ(request.environ).match()
        if self._prefix_disabled(request.path):
            raise _NotFoundError
        if endpoint in self._public_handlers:
            return self._public_handlers[endpoint](request, **values)
        refusal = tokens.refusal(request, self.state, self.clock.now())
        if refusal is not None:
            return refusal
        with self.state.lock:
            self.process_due()
            return self._authenticated_handlers[endpoint](request, **values)

    def _prefix_disabled(self, path: str) -> bool:
        """Return whether the switch `prefix` disables the prefix of a path."""
        served = self.switches.prefix
        return served != "both" and any(path.startswith(f"{prefix}/") for prefix in _PREFIXES if prefix != served)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error response of the service."""
        return problems.error(self.switches.error_body, status, message)

    def not_found(self) -> Response:
        """Return the response to an unknown id."""
        return self.error_response(404, "The resource for the given id was not found")

    def unauthorized(self) -> Response:
        """Return the response of the gateway to an invalid token."""
        return tokens.no_access()

    def url_expired(self) -> Response:
        """Return the response of storage to an expired URL."""
        return responses.storage_error(signing.gcs_expired(self.clock.now() - 1))

    # API calls, in the order of the document.

    def _token(self, request: Request) -> Response:
        """Respond to `POST /auth/v1/token` (3.1)."""
        return tokens.grant(request, self.state, self.credentials, self.clock.now())

    def _list_services(self, _request: Request) -> Response:
        """Respond to `GET /batch-services` (4.1)."""
        switches = self.switches
        name = SERVICE["name"] if switches.service_name == "display" else SERVICE_CODE
        service = {switches.service_id: SERVICE["id"], "name": name, "description": SERVICE["description"]}
        return responses.json_response(
            [service] if switches.services == "array" else {"total": 1, "content": [service]}
        )

    def _template(self, _request: Request, service_id: str) -> Response:
        """Respond to `GET /batch-services/{id}/template` (4.2)."""
        if _parse_uuid(service_id) != SERVICE["id"]:
            raise _NotFoundError
        return Response(",".join(rows.COLUMNS) + "\r\n", 200, content_type="text/csv; charset=utf-8")

    def _create_batch(self, request: Request) -> Response:
        """Respond to `POST /batches` (5)."""
        if request.mimetype != "application/json":
            msg = "Content-Type must be application/json"
            raise create_request.BadRequestError(msg)
        creation = create_request.read(responses.read_json(request))
        if creation.service != SERVICE["id"]:
            raise _NotFoundError
        used = any(b.reference == creation.reference and b.cancelled is None for b in self.state.batches.all())
        if used and not self.switches.duplicate_references:
            return self.error_response(409, "A conflicting resource already exists: userBatchReference is in use")
        return self._new_batch(request, creation)

    def _new_batch(self, request: Request, creation: create_request.CreateRequest) -> Response:
        """Create a batch; return the response with its upload URL."""
        now, number = self.clock.now(), self.state.batches.next_number()
        suffix = self.state.hmac_digest(f"object:{number}".encode()).hex()[:12]
        batch = Batch(
            id=str(self.state.stable_uuid("batch", number)),
            number=number,
            reference=creation.reference,
            created=now,
            details={
                "scheduled": creation.scheduled,
                "email": creation.email,
                "object": f"123-{datetimes.format_seconds(now).rstrip('Z')}-{suffix}.csv",
            },
        )
        self.state.save(batch)
        url = self._signed(request, "PUT", f"{STORAGE}/user-upload/{batch.details['object']}")
        expiry = ("123-" if self.switches.printed_expiry else "") + datetimes.format_seconds(
            now + RETURNED_EXPIRY
        ).rstrip("Z")
        return responses.json_response({"url": url, "expiry": expiry, "batchId": batch.id}, self.switches.create_status)

    def _list_batches(self, _request: Request) -> Response:
        """Respond to `GET /batches` (6.7)."""
        if not self.switches.list_batches:
            raise _NotFoundError
        return responses.json_response([self._view(batch) for batch in self.state.batches.all()])

    def _get_batch(self, _request: Request, batch_id: str) -> Response:
        """Respond to `GET /batches/{id}` (6.1)."""
        batch = self._find(batch_id)
        if self.switches.status_by == "reports":
            raise _NotFoundError
        response = responses.json_response(self._view(batch))
        self.on_polled(batch)
        return response

    def _delete_batch(self, _request: Request, batch_id: str) -> Response:
        """Respond to `DELETE /batches/{id}` (6.6)."""
        batch = self._find(batch_id)
        status = self._status(batch)
        if status not in ({"PENDING", "SCHEDULED"} if self.switches.delete_scheduled else {"PENDING"}):
            return self.error_response(
                self.switches.delete_refusal, f"Only a pending batch can be deleted; this one is {status}"
            )
        self.state.save(replace(batch, cancelled=self.clock.now()))
        return Response(status=self.switches.deleted_status)

    def _reports(self, request: Request, batch_id: str) -> Response:
        """Respond to `GET /batches/{id}/reports` (6.2)."""
        batch = self._find(batch_id)
        status, url, expiry = self._status(batch), None, None
        if self.switches.status_by == "batch" and status != phases.DONE:
            raise _NotFoundError
        if status == phases.DONE:
            url = self._signed(request, "GET", f"{STORAGE}/user-results/{batch.id}.csv")
            expiry = datetimes.format_seconds(self.clock.now() + self.switches.url_lifetime)
        report = {"batchId": batch.id, "status": self._displayed(status), "url": url, "expiry": expiry}
        response = responses.json_response([report] if self.switches.reports == "array" else report)
        self.on_polled(batch)
        return response

    def _errors(self, request: Request, batch_id: str) -> Response:
        """Respond to `GET /batches/{id}/errors` (6.4)."""
        batch, error_type = self._find(batch_id), request.args.get("errorType")
        if (
            error_type is not None
            and error_type not in rows.ERROR_TYPES
            and self.switches.unknown_error_type == HTTPStatus.BAD_REQUEST
        ):
            msg = f"errorType must be one of {', '.join(rows.ERROR_TYPES)}"
            raise create_request.BadRequestError(msg)
        done = self._status(batch) == phases.DONE
        if self.switches.errors_by == "csv":
            raise _NotFoundError
        if not self._has_errors(batch, done=done) and self.switches.no_errors != HTTPStatus.OK:
            return self._no_errors()
        head = f'{{"batchId":"{batch.id}","batchItemsErrors":['
        items = list(_read_errors(self._output_paths(batch).errors, error_type)) if done else []
        if self.switches.json_errors == "empty":
            items = []
        elif not self._is_whole(batch):
            items = items[: len(items) // 2]
        echo = self.switches.echo
        return responses.json_array(head, (answer_forms.error_item(item, echo) for item in items), "]}")

    def _download_errors(self, request: Request, batch_id: str) -> Response:
        """Respond to `GET /batches/{id}/errors/download` (6.5)."""
        batch = self._find(batch_id)
        kind, done = "text/csv; charset=utf-8", self._status(batch) == phases.DONE
        if self.switches.errors_by == "json":
            raise _NotFoundError
        if not self._has_errors(batch, done=done) and self.switches.no_errors != HTTPStatus.OK:
            return self._no_errors()
        if not done:
            return Response(",".join([*rows.COLUMNS, *files.ERROR_COLUMNS]) + "\r\n", 200, content_type=kind)
        merge = len(files.ERROR_COLUMNS) if self.switches.csv_columns == "one" else 0
        return self._table(request, batch, self._output_paths(batch).errors_csv, kind, merge)

    def _has_errors(self, batch: Batch, *, done: bool) -> bool:
        """Return whether a completed batch has row errors."""
        counts = batch.outcome.counts if batch.outcome and done else {}
        return bool(counts.get("validationErrors") or counts.get("processingErrors"))

    def _no_errors(self) -> Response:
        """Return the response for a batch without errors, as set by the switch `no_errors`."""
        status = self.switches.no_errors
        return self.error_response(status, "No errors") if status == HTTPStatus.NOT_FOUND else Response(status=status)

    # Storage, served by the same host.

    def _put_object(self, request: Request, name: str) -> Response:
        """Store an upload to a signed URL (5.1)."""
        refusal = signing.gcs_refusal(responses.storage_call(request), secret=self.state.secret, now=self.clock.now())
        content_md5 = request.headers.get("Content-Md5")
        refusal = refusal or signing.digest_refusal(content_md5)
        with self.state.lock:
            found = next((b for b in self.state.batches.all() if b.details["object"] == name), None)
        if refusal is not None:
            return self.noted(found.id if found else "", responses.storage_error(refusal))
        if found is None:
            return problems.no_such_key()
        received = self.receive_upload(request, found.id, content_md5=content_md5, limit=self.switches.max_bytes)
        return self.noted(found.id, received)

    def _get_object(self, request: Request, name: str) -> Response:
        """Return a result file from a signed URL."""
        refusal = signing.gcs_refusal(responses.storage_call(request), secret=self.state.secret, now=self.clock.now())
        if refusal is not None:
            return responses.storage_error(refusal)
        with self.state.lock:
            self.process_due()
            batch = self.state.batches.get(name.removesuffix(".csv"))
            if batch is None or self._status(batch) != phases.DONE:
                return problems.no_such_key()
            return self._table(request, batch, self._output_paths(batch).result, "text/csv")

    # Helpers.

    def _table(self, request: Request, batch: Batch, file: Path, kind: str, merge: int = 0) -> Response:
        """Return results or CSV errors in the form that the switches select; the last `merge` columns become one."""
        switches = self.switches
        if (switches.tables, switches.echo, merge) == ("plain", "as_sent", 0) and self._is_whole(batch):
            modified = (phases.starts_at(batch, switches) or 0) + switches.processing
            return responses.file_response(request, file, kind, modified=modified)
        body = answer_forms.table(file, form=switches.tables, echo=switches.echo, columns=rows.COLUMNS, merge=merge)
        if not self._is_whole(batch):
            lines = body.splitlines(keepends=True)
            body = b"".join(lines[: 1 + (len(lines) - 1) // 2])
        return Response(body, 200, content_type=kind)

    def _is_whole(self, batch: Batch) -> bool:
        """Return whether results and errors of a completed batch are whole, by the switch `results_after`."""
        starts = phases.starts_at(batch, self.switches) or 0
        whole_at: float = starts + self.switches.processing + self.switches.results_after
        return self.clock.now() >= whole_at

    def _signed(self, request: Request, verb: str, path: str) -> str:
        """Return a signed URL for a path of storage."""
        call = signing.Call(verb=verb, path=path, query=(), headers={})
        base = responses.origin_of(request)
        now = self.clock.now()
        return signing.gcs_url(base, call, secret=self.state.secret, now=now, lifetime=self.switches.url_lifetime)

    def _find(self, batch_id: str) -> Batch:
        """Return a batch by id; raise if it does not exist."""
        batch = self.state.batches.get(_parse_uuid(batch_id))
        if batch is None:
            raise _NotFoundError
        return batch


def _parse_uuid(text: str) -> str:
    """Return a UUID in a path in canonical form; raise if it is not a UUID."""
    found = create_request.parse_uuid(text)
    if found is None:
        msg = "The id in the path must be a UUID"
        raise create_request.BadRequestError(msg)
    return found


def _read_errors(file: Path, error_type: str | None) -> Iterator[dict[str, Any]]:
    """Yield the error items in a file, of one type or of all."""
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            item: dict[str, Any] = json.loads(line)
            if error_type in {None, item["errors"][0]["errorType"]}:
                yield item
