"""Sitecore CDP's Batch API over HTTP: allocate, upload, status, list and error log (sitecore-cdp.md, section 3).

It does not know what makes a record good, how long a phase lasts, or how a URL is signed: its neighbours do.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hmac
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from lading_mocks import answers, moments, signing
from lading_mocks.sitecore import asking, checks, phases
from lading_mocks.sitecore.asking import ProblemError, Reference
from lading_mocks.sitecore.backoffice import BackOffice
from lading_mocks.vendor import STORAGE
from lading_mocks.world import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request, Response

    from lading_mocks.clock import Clock
    from lading_mocks.memory import Memory
    from lading_mocks.sitecore.switches import SitecoreSwitches

_BUCKET = f"{STORAGE}/sitecore-batch-service-mock"
_ENCRYPTED = {signing.ENCRYPTION: "AES256"}
_DENIED = "Full authentication is required to access this resource"


@functools.cache
def _routes() -> Map:
    """Give the paths, which are compiled once: every vendor of a process has the same."""
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


class Sitecore(BackOffice):
    """The vendor `sitecore-cdp`."""

    name = "sitecore-cdp"
    credentials: ClassVar[dict[str, str]] = {
        "client_key": "not-a-real-client-key-of-a-mock",
        "api_token": "not-a-real-token-sitecore-mock",
    }

    def __init__(self, memory: Memory, clock: Clock, *, switches: SitecoreSwitches | None = None) -> None:
        """Take memory and clock; `switches` are the readings to follow."""
        super().__init__(memory, clock, switches=switches)
        self._routes = _routes()
        self._storage: dict[str, Callable[[Request, str], Response]] = {
            "object": self._put_object,
            "log": self._get_log,
        }
        self._guarded: dict[str, Callable[..., Response]] = {
            "allocate": self._allocate,
            "plain": self._plain,
            "inspect": self._inspect,
            "list": self._list,
        }

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        try:
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
            if endpoint in self._storage:
                return self._storage[endpoint](request, values["ref"])
            self._check_credentials(request)
            with self.memory.lock:
                self.settle()
                return self._guarded[endpoint](request, **values)
        except ProblemError as problem:
            return self.problem(problem.status, problem.message)
        except answers.BadBody as error:
            return self.problem(400, str(error))
        except HTTPException as error:
            return self.unrouted(error)

    def problem(self, status: int, message: str) -> Response:
        """Answer with an error of the platform."""
        return asking.platform_error(self.switches.error_body, status, message)

    def unknown(self) -> Response:
        """Answer as to a batch that is not known."""
        return self.problem(404, "Batch not found")

    def denied(self) -> Response:
        """Answer as to credentials that are wrong."""
        return self.problem(401, _DENIED)

    def expired(self) -> Response:
        """Answer as storage does when a URL has expired."""
        now = self.clock.now()
        return answers.as_refusal(signing.s3_expired(now - 1, now))

    # The API.

    def _allocate(self, request: Request, ref: str) -> Response:
        if not checks.is_uuid(ref):
            raise ProblemError(400, "batchRef must be a UUID")
        checksum, size = self._announced(answers.json_of(request))
        held = self.memory.world.get(ref.lower())
        if held is not None:
            same = (held.facts["checksum"], held.facts["size"]) == (checksum, size)
            refuse = self.switches.repeat_allocate == "refuse"
            if refuse or not same or self._status(held) != "uploading":
                raise ProblemError(409, "A batch with this reference already exists")
            return answers.as_json(self._view(request, held, "uploading"), self.switches.allocate_status)
        batch = Batch(
            id=ref.lower(),
            number=self.memory.world.next_number(),
            reference=ref,
            created=self.clock.now(),
            facts={"checksum": checksum, "size": size},
        )
        self.memory.keep(batch)
        return answers.as_json(self._view(request, batch, "uploading"), self.switches.allocate_status)

    def _announced(self, said: dict[str, Any]) -> tuple[str, int]:
        checksum, size = said.get("checksum"), said.get("size")
        if not isinstance(checksum, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", checksum):
            raise ProblemError(400, "checksum is required and must be the hexadecimal MD5 of the file")
        if self.switches.size_as_string and isinstance(size, str) and re.fullmatch(r"\d{1,12}", size, re.ASCII):
            size = int(size)
        if isinstance(size, float) and size.is_integer():
            # In JSON there is no difference between 9 and 9.0.
            size = int(size)
        largest = 1 << 40 if self.switches.late_size_check else self.switches.largest
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= largest:
            raise ProblemError(400, f"size is required and must be an integer from 1 to {largest}")
        return checksum, size

    def _plain(self, request: Request, ref: str) -> Response:
        status = self._status(self._find(ref))
        # What the plain endpoint shows for file_uploaded is open; assumption 8.
        return self._polled(request, ref, self.switches.plain_while_queued if status == "file_uploaded" else status)

    def _inspect(self, request: Request, ref: str) -> Response:
        return self._polled(request, ref, self._status(self._find(ref)))

    def _polled(self, request: Request, ref: str, shown: str) -> Response:
        batch = self._find(ref)
        answer = answers.as_json(self._view(request, batch, shown))
        self.polled(batch)
        return answer

    def _list(self, request: Request) -> Response:
        now = self.clock.now()
        wanted = [word for word in request.args.get("status", "").split(",") if word]
        before, after = (asking.bound(request, name) for name in ("createdBefore", "createdAfter"))
        page, batches = self.switches.page, self.memory.world.all()
        offset, limit = asking.whole(request, "offset", 0), min(asking.whole(request, "limit", page), page)
        found = [
            batch
            for batch in (reversed(batches) if self.switches.list_order == "newest" else batches)
            if now - batch.created <= phases.LISTED_FOR
            and (not wanted or self._status(batch) in wanted)
            and (before is None or batch.created < before)
            and (after is None or batch.created > after)
        ]
        items = [self._item(request, batch) for batch in found[offset : offset + limit]]
        return answers.as_json({"totalCount": len(found), "offset": offset, "limit": limit, "items": items})

    def _check_credentials(self, request: Request) -> None:
        scheme, _, packed = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(":".join(self.credentials.values()).encode())
        good = hmac.compare_digest(expected, packed.strip().encode("utf-8", "replace"))
        if scheme.lower() != "basic" or not good:
            raise ProblemError(401, _DENIED)

    # Storage, whose host is this server too.

    def _put_object(self, request: Request, ref: str) -> Response:
        refusal = self._storage_refusal(request)
        content_md5 = request.headers.get("Content-Md5")
        refusal = refusal or signing.digest_refusal(content_md5)
        if content_md5 is None and self.switches.strict_md5:
            message = "Missing required header for this request: Content-MD5"
            refusal = refusal or signing.Refusal(status=400, code="InvalidRequest", message=message)
        return answers.as_refusal(refusal) if refusal else self.take_in(request, ref, content_md5=content_md5)

    def _get_log(self, request: Request, ref: str) -> Response:
        refusal = self._storage_refusal(request)
        if refusal is not None:
            return answers.as_refusal(refusal)
        with self.memory.lock:
            batch = self.memory.world.get(ref)
            if batch is None or batch.outcome is None or not self._made(batch).log.exists():
                gone = signing.Refusal(status=404, code="NoSuchKey", message="The specified key does not exist.")
                return answers.as_refusal(gone)
            log = self._made(batch).log
            if self.switches.log_gzip:
                return answers.as_file(log, "application/gzip")
            return answers.as_stream(gzip.open(log), "application/json")

    def _storage_refusal(self, request: Request) -> signing.Refusal | None:
        call, key = answers.call_of(request), self.credentials["client_key"]
        if not self.switches.strict_encryption and request.method == "PUT":
            # The header is signed; without strictness one that is missing is taken as sent.
            call = replace(call, headers={**_ENCRYPTED, **call.headers})
        refusal = signing.s3_refusal(call, secret=self.memory.secret, now=self.clock.now(), access_key=key)
        if refusal is None and request.method == "PUT" and self.switches.strict_content_type:
            refusal = None if request.mimetype == "application/gzip" else signing.mismatch()
        if refusal is not None or request.method != "PUT":
            return refusal
        if "transfer-encoding" in call.headers:
            message = "A header you provided implies functionality that is not implemented"
            return signing.Refusal(status=501, code="NotImplemented", message=message)
        if "content-length" not in call.headers:
            message = "You must provide the Content-Length HTTP header."
            return signing.Refusal(status=411, code="MissingContentLength", message=message)
        return None

    # What the above share.

    def _find(self, ref: str) -> Batch:
        batch = self.memory.world.get(ref.lower())
        old = batch is not None and self.clock.now() - batch.created > phases.LISTED_FOR
        if batch is None or (old and self.switches.forgets):
            raise ProblemError(404, "Batch not found")
        return batch

    def _signed(self, request: Request, verb: str, batch: Batch, name: str) -> tuple[str, int]:
        key = self.credentials["client_key"]
        headers = _ENCRYPTED if verb == "PUT" else {}
        call = signing.Call(verb=verb, path=f"{_BUCKET}/{key}/{batch.id}/{name}", query=(), headers=headers)
        expires = int(self.clock.now()) + (self.switches.url_lifetime if verb == "PUT" else self.switches.log_lifetime)
        base = request.host_url.rstrip("/")
        return signing.s3_url(base, call, secret=self.memory.secret, expires=expires, access_key=key), expires

    def _view(self, request: Request, batch: Batch, code: str) -> dict[str, Any]:
        location: dict[str, Any] = {}
        if code == "uploading":
            href, expires = self._signed(request, "PUT", batch, "import.gz")
            location = {"location": {"href": href, "expiry": moments.millis(expires)}}
        log = self._log_url(request, batch, code)
        return {
            "href": request.base_url,
            "ref": batch.reference,
            "checksum": batch.facts["checksum"],
            "size": batch.facts["size"],
            **location,
            "status": {"code": code} | ({"log": log} if log else {}),
            **self._stats(batch, code),
            "createdAt": moments.millis(batch.created),
            "modifiedAt": moments.millis(phases.modified_at(batch, self.clock.now(), self.switches)),
        }

    def _item(self, request: Request, batch: Batch) -> dict[str, Any]:
        status = self._status(batch)
        log = self._log_url(request, batch, status)
        return {
            "href": f"{request.base_url.rstrip('/')}/{batch.reference}",
            "ref": batch.reference,
            "status": status,
            **({self.switches.log_name: log} if log else {}),
            "createdAt": moments.millis(batch.created),
            "modifiedAt": moments.millis(phases.modified_at(batch, self.clock.now(), self.switches)),
        }

    def _stats(self, batch: Batch, code: str) -> dict[str, Any]:
        # The page describes the four numbers, but their names are lost: these are inventions.
        if not self.switches.stats or code not in {"error", "success"} or batch.outcome is None:
            return {}
        counts = {f"mock{name.capitalize()}": count for name, count in batch.outcome.counts.items()}
        return {"mockStats": {"mockRunMillis": int(self.switches.processing * 1000), **counts}}

    def _log_url(self, request: Request, batch: Batch, code: str) -> str | None:
        # A file that was no gzip ends as error without a log.
        if code not in {"error", "success"} or batch.outcome is None or not batch.outcome.counts:
            return None
        if not batch.outcome.counts["failed"] and not self.switches.log_successes:
            return None
        return self._signed(request, "GET", batch, "log.gz")[0]
