"""HTTP API of Sitecore CDP's Batch API: allocate, upload, status, list and error log (sitecore-cdp.md, section 3)."""

from __future__ import annotations

import base64
import functools
import gzip
import hmac
import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from batchsync_mocks import datetimes, responses, signing, signing_v4
from batchsync_mocks.batches import Batch
from batchsync_mocks.sitecore import checks, phases, refusals, request_params
from batchsync_mocks.sitecore.log_forms import log_in_form
from batchsync_mocks.sitecore.processing import BatchProcessor
from batchsync_mocks.sitecore.request_params import ProblemError, Reference
from batchsync_mocks.vendor import STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.sitecore.switches import SitecoreSwitches
    from batchsync_mocks.vendor_state import VendorState

_BUCKET = f"{STORAGE}/sitecore-batch-service-mock"
_ENCRYPTED = {signing.ENCRYPTION: "AES256"}
_MD5 = "content-md5"
_DENIED = "Full authentication is required to access this resource"


def _signed_headers(batch: Batch) -> dict[str, str]:
    """Return the headers of an upload that its URL signs: the MD5 that was announced, and the encryption."""
    digest = base64.b64encode(bytes.fromhex(batch.details["checksum"])).decode()
    return {_MD5: digest, **_ENCRYPTED}


@functools.cache
def _routes() -> Map:
    """Return the URL map, compiled once per process."""
    return Map(
        [
            Rule("/v2/batches/inspect", endpoint="list", methods=["GET"]),
            Rule("/v2/batches/inspect/<ref>", endpoint="inspect", methods=["GET"]),
            Rule("/v2/batches/<reference:ref>", endpoint="plain", methods=["GET"]),
            Rule("/v2/batches/<reference:ref>", endpoint="allocate", methods=["PUT"]),
            Rule(f"{_BUCKET}/<key>/<ref>/import.gz", endpoint="object", methods=["PUT", "GET"]),
            Rule(f"{_BUCKET}/<key>/<ref>/log.gz", endpoint="log", methods=["PUT", "GET"]),
        ],
        strict_slashes=False,
        merge_slashes=False,
        converters={"reference": Reference},
    )


class Sitecore(BatchProcessor):
    """Mock of the vendor `sitecore-cdp`."""

    name = "sitecore-cdp"
    credentials: ClassVar[dict[str, str]] = {
        "client_key": "not-a-real-client-key-of-a-mock",
        "api_token": "not-a-real-token-sitecore-mock",
    }

    def __init__(self, state: VendorState, clock: Clock, *, switches: SitecoreSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock, switches=switches)
        self._routes = _routes()
        self._storage_handlers: dict[str, Callable[[Request, str], Response]] = {
            "object": self._put_object,
            "log": self._get_log,
        }
        self._api_handlers: dict[str, Callable[..., Response]] = {
            "allocate": self._allocate,
            "plain": self._get_batch,
            "inspect": self._inspect_batch,
            "list": self._list_batches,
        }

    def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        try:
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
            if endpoint in self._storage_handlers:
                return self._storage_handlers[endpoint](request, values["ref"])
            self._check_credentials(request)
            with self.state.lock:
                self.process_due()
                return self._api_handlers[endpoint](request, **values)
        except ProblemError as problem:
            return responses.explained(self.error_response(problem.status, problem.message), problem.problem)
        except responses.BadBodyError as error:
            return self.error_response(400, str(error))
        except HTTPException as error:
            return self.routing_error(error)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error response of the platform."""
        response = request_params.platform_error(self.switches.error_body, status, message)
        responses.explained(response, message)
        if status == HTTPStatus.UNAUTHORIZED:
            # HTTP demands the header; the name of the realm is invented.
            response.headers["WWW-Authenticate"] = 'Basic realm="mock"'
        return response

    def not_found(self) -> Response:
        """Return the response to an unknown batch."""
        return self.error_response(404, "Batch not found")

    def unauthorized(self) -> Response:
        """Return the response to invalid credentials."""
        return self.error_response(401, _DENIED)

    def url_expired(self) -> Response:
        """Return the response of storage to an expired URL."""
        now, lifetime = self.clock.now(), self.switches.url_lifetime
        if self.switches.signature == "v2":
            return self._refused(signing.s3_expired(now - 1, now))
        return self._refused(signing_v4.expired(now - 1, now, lifetime=lifetime))

    # API calls.

    def _allocate(self, request: Request, ref: str) -> Response:
        """Respond to `PUT /v2/batches/{ref}` (3.1)."""
        if not checks.is_uuid(ref):
            raise ProblemError(400, "batchRef must be a UUID")
        checksum, size = self._checksum_and_size(responses.read_json(request))
        existing = self.state.batches.get(ref.lower())
        if existing is not None:
            same = (existing.details["checksum"], existing.details["size"]) == (checksum, size)
            refuse = self.switches.repeat_allocate == "refuse"
            if refuse or not same or self._status(existing) != "uploading":
                raise ProblemError(409, "A batch with this reference already exists")
            return responses.json_response(self._view(request, existing, "uploading"), self.switches.allocate_status)
        batch = Batch(
            id=ref.lower(),
            number=self.state.batches.next_number(),
            reference=ref,
            created=self.clock.now(),
            details={"checksum": checksum, "size": size},
        )
        self.state.save(batch)
        return responses.json_response(self._view(request, batch, "uploading"), self.switches.allocate_status)

    def _checksum_and_size(self, body: dict[str, Any]) -> tuple[str, int]:
        """Return checksum and size of an allocation; raise if they are invalid."""
        checksum, size = body.get("checksum"), body.get("size")
        if not isinstance(checksum, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", checksum):
            raise ProblemError(400, "checksum is required and must be the hexadecimal MD5 of the file")
        if self.switches.size_as_string and isinstance(size, str) and re.fullmatch(r"\d{1,12}", size, re.ASCII):
            size = int(size)
        if isinstance(size, float) and size.is_integer():
            # JSON does not distinguish 9 from 9.0.
            size = int(size)
        largest = 1 << 40 if self.switches.late_size_check else self.switches.largest
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= largest:
            raise ProblemError(400, f"size is required and must be an integer from 1 to {largest}")
        return checksum, size

    def _get_batch(self, request: Request, ref: str) -> Response:
        """Respond to `GET /v2/batches/{ref}`."""
        status = self._status(self._find(ref))
        # The status of this endpoint for file_uploaded is not documented; assumption 8.
        return self._status_response(
            request, ref, self.switches.plain_while_queued if status == "file_uploaded" else status
        )

    def _inspect_batch(self, request: Request, ref: str) -> Response:
        """Respond to `GET /v2/batches/inspect/{ref}` (3.3)."""
        return self._status_response(request, ref, self._status(self._find(ref)))

    def _status_response(self, request: Request, ref: str, status: str) -> Response:
        """Return the response with a batch in the given status."""
        batch = self._find(ref)
        response = responses.json_response(self._view(request, batch, status))
        self.on_polled(batch)
        return response

    def _list_batches(self, request: Request) -> Response:
        """Respond to `GET /v2/batches/inspect` (3.4)."""
        now = self.clock.now()
        statuses = [status for status in request.args.get("status", "").split(",") if status]
        before, after = (request_params.datetime_param(request, name) for name in ("createdBefore", "createdAfter"))
        page, batches = self.switches.page, self.state.batches.all()
        offset, limit = (
            request_params.whole_number(request, "offset", 0),
            min(request_params.whole_number(request, "limit", page), page),
        )
        matches = [
            batch
            for batch in (reversed(batches) if self.switches.list_order == "newest" else batches)
            if now - batch.created <= phases.LISTED_SECONDS
            and (not statuses or self._status(batch) in statuses)
            and (before is None or batch.created < before)
            and (after is None or batch.created > after)
        ]
        shown = matches[offset : offset + limit]
        items = [self._item(request, batch) for batch in shown]
        # A client that polls by list waits as well.
        self.on_polled_together(shown)
        return responses.json_response({"totalCount": len(matches), "offset": offset, "limit": limit, "items": items})

    def _check_credentials(self, request: Request) -> None:
        """Raise if a request has no valid credentials."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(":".join(self.credentials.values()).encode())
        is_valid = hmac.compare_digest(expected, encoded.strip().encode("utf-8", "replace"))
        if scheme.lower() != "basic" or not is_valid:
            raise ProblemError(401, _DENIED, refusals.access_cause(scheme))

    # Storage, served by the same host.

    def _put_object(self, request: Request, ref: str) -> Response:
        """Store an upload to a signed URL (3.2)."""
        refusal = self._storage_refusal(request)
        content_md5 = request.headers.get("Content-Md5")
        refusal = refusal or signing.digest_refusal(content_md5)
        if content_md5 is None and self.switches.strict_md5:
            message = "Missing required header for this request: Content-MD5"
            refusal = refusal or signing.Refusal(status=400, code="InvalidRequest", message=message)
        if refusal is not None:
            return self.noted(ref, self._refused(refusal))
        return self.noted(ref, self.receive_upload(request, ref, content_md5=content_md5))

    def _get_log(self, request: Request, ref: str) -> Response:
        """Return an error log from a signed URL (3.5)."""
        refusal = self._storage_refusal(request)
        if refusal is not None:
            return self._refused(refusal)
        with self.state.lock:
            batch = self.state.batches.get(ref)
            if batch is None or batch.outcome is None or not self._output_paths(batch).log.exists():
                refusal = signing.Refusal(status=404, code="NoSuchKey", message="The specified key does not exist.")
                return self._refused(refusal)
            log = self._output_paths(batch).log
            if self.switches.log_form != "lines":
                body = log_in_form(gzip.decompress(log.read_bytes()), self.switches.log_form)
                return Response(gzip.compress(body, mtime=0), 200, content_type="application/gzip")
            if self.switches.log_gzip:
                return responses.file_response(request, log, "application/gzip", modified=batch.outcome.at)
            return responses.stream_response(gzip.open(log), "application/json")

    def _refused(self, refusal: signing.Refusal) -> Response:
        """Return the response of S3 to a request that it refuses, with the two ids that each of its errors has."""
        digest = self.state.hmac_digest(f"{refusal} {self.clock.now()}".encode())
        ids = (("RequestId", digest[:8].hex().upper()), ("HostId", base64.b64encode(digest).decode()))
        response = responses.storage_error(replace(refusal, more=(*refusal.more, *ids)))
        response.headers["x-amz-request-id"], response.headers["x-amz-id-2"] = ids[0][1], ids[1][1]
        return response

    def _storage_refusal(self, request: Request) -> signing.Refusal | None:
        """Return the refusal of a storage request; None if it is valid."""
        call = responses.storage_call(request)
        if request.method != "PUT":
            return self._signature_refusal(call)
        call = self._as_signed(call)
        refusal = self._signature_refusal(call)
        if refusal is None and self.switches.strict_content_type and request.mimetype != "application/gzip":
            refusal = signing.mismatch("Content-Type is not application/gzip, which the switch demands")
        if refusal is not None:
            return refusals.with_cause(refusal, call, self._signed_of(call))
        if "transfer-encoding" in call.headers:
            message = "A header you provided implies functionality that is not implemented"
            return signing.Refusal(status=501, code="NotImplemented", message=message)
        if "content-length" not in call.headers:
            message = "You must provide the Content-Length HTTP header."
            return signing.Refusal(status=411, code="MissingContentLength", message=message)
        return None

    def _as_signed(self, call: signing.Call) -> signing.Call:
        """Return an upload in which signed headers that a switch does not require are as they were signed."""
        signed = self._signed_of(call)
        strict = {signing.ENCRYPTION: self.switches.strict_encryption, _MD5: self.switches.strict_md5}
        missing = {name: value for name, value in signed.items() if name not in call.headers and not strict[name]}
        return replace(call, headers={**missing, **call.headers})

    def _signed_of(self, call: signing.Call) -> dict[str, str]:
        """Return the headers that the URL of an upload signs, besides `host`."""
        batch = self.state.batches.get(call.path.split("/")[-2])
        return _signed_headers(batch) if batch is not None else _ENCRYPTED

    def _signature_refusal(self, call: signing.Call) -> signing.Refusal | None:
        """Return the refusal of a request whose signature is missing, expired or of another request."""
        now = self.clock.now()
        if self.switches.signature == "v2":
            return signing.s3_refusal(
                call, secret=self.state.secret, now=now, access_key=self.credentials["client_key"]
            )
        return signing_v4.refusal(call, self._account, now=now)

    # Helpers.

    def _find(self, ref: str) -> Batch:
        """Return a batch by reference; raise if it does not exist."""
        batch = self.state.batches.get(ref.lower())
        old = batch is not None and self.clock.now() - batch.created > phases.LISTED_SECONDS
        if batch is None or (old and self.switches.forget_old):
            raise ProblemError(404, "Batch not found")
        return batch

    def _signed(self, request: Request, verb: str, batch: Batch, name: str) -> tuple[str, int]:
        """Return a signed URL and its expiry in epoch seconds."""
        path = f"{_BUCKET}/{self.credentials['client_key']}/{batch.id}/{name}"
        lifetime = self.switches.url_lifetime if verb == "PUT" else self.switches.log_lifetime
        now, base = int(self.clock.now()), responses.origin_of(request)
        if self.switches.signature == "v2":
            call = signing.Call(verb=verb, path=path, query=(), headers=_ENCRYPTED if verb == "PUT" else {})
            key, secret = self.credentials["client_key"], self.state.secret
            return signing.s3_url(base, call, secret=secret, expires=now + lifetime, access_key=key), now + lifetime
        headers = {"host": request.host, **(_signed_headers(batch) if verb == "PUT" else {})}
        call = signing.Call(verb=verb, path=path, query=(), headers=headers)
        return signing_v4.signed_url(base, call, self._account, now=now, lifetime=lifetime), now + lifetime

    @property
    def _account(self) -> signing_v4.Account:
        """The account of storage that signs URLs; its secret is text of 40 letters, as those of AWS are."""
        token = base64.b64encode(self.state.hmac_digest(b"session token")).decode()
        secret = base64.b64encode(self.state.hmac_digest(b"secret access key")[:30])
        return signing_v4.Account(key_id="ASIAMOCKSBATCHSYNC00", secret=secret, token=token)

    def _view(self, request: Request, batch: Batch, code: str) -> dict[str, Any]:
        """Return a batch as allocate and status return it."""
        location: dict[str, Any] = {}
        if code == "uploading":
            href, expires = self._signed(request, "PUT", batch, "import.gz")
            location = {"location": {"href": href, "expiry": datetimes.format_millis(expires)}}
        log = self._log_url(request, batch, code)
        return {
            "href": responses.origin_of(request) + request.path,
            "ref": batch.reference,
            "checksum": batch.details["checksum"],
            "size": batch.details["size"],
            **location,
            "status": {"code": code} | ({"log": log} if log else {}),
            **self._stats(batch, code),
            "createdAt": datetimes.format_millis(batch.created),
            "modifiedAt": datetimes.format_millis(phases.modified_at(batch, self.clock.now(), self.switches)),
        }

    def _item(self, request: Request, batch: Batch) -> dict[str, Any]:
        """Return a batch as an item of the list."""
        status = self._status(batch)
        log = self._log_url(request, batch, status)
        return {
            "href": f"{responses.origin_of(request)}{request.path.rstrip('/')}/{batch.reference}",
            "ref": batch.reference,
            "status": status,
            **({self.switches.log_name: log} if log else {}),
            "createdAt": datetimes.format_millis(batch.created),
            "modifiedAt": datetimes.format_millis(phases.modified_at(batch, self.clock.now(), self.switches)),
        }

    def _stats(self, batch: Batch, code: str) -> dict[str, Any]:
        """Return the statistics of a finished batch, if enabled."""
        # The page describes the four numbers, but not their names; these are invented.
        if not self.switches.stats or code not in {"error", "success"} or batch.outcome is None:
            return {}
        counts = {f"mock{name.capitalize()}": count for name, count in batch.outcome.counts.items()}
        return {"mockStats": {"mockRunMillis": int(self.switches.processing * 1000), **counts}}

    def _log_url(self, request: Request, batch: Batch, code: str) -> str | None:
        """Return a signed URL of the error log; None if there is no log."""
        # A file that is not gzip ends as error without a log.
        if code not in {"error", "success"} or batch.outcome is None or not batch.outcome.counts:
            return None
        if not batch.outcome.counts["failed"] and not self.switches.log_successes:
            return None
        if self.clock.now() < batch.outcome.at + self.switches.log_after:
            return None
        return self._signed(request, "GET", batch, "log.gz")[0]
