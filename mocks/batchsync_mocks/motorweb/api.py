"""Motorweb BDP over HTTP: every operation of motorweb-bdp.md, section 1, under `/batch/v1` and under `/v1`.

It does not know what makes a row good, how long a phase lasts, or how a URL is signed: its neighbours do. The bodies of
service errors are an invention (section 12, 9); so is the list of batches (19).
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

from lading_mocks import answers, moments, signing
from lading_mocks.motorweb import files, orders, phases, problems, rows, tokens
from lading_mocks.motorweb.backoffice import SERVICE, SERVICE_CODE, BackOffice
from lading_mocks.vendor import STORAGE
from lading_mocks.world import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading_mocks.clock import Clock
    from lading_mocks.memory import Memory
    from lading_mocks.motorweb.switches import MotorwebSwitches

# The documented example shows an `expiry` 8 hours after creation beside a URL that lives 900 seconds; so do we.
SAID_EXPIRY = 8 * 3600
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
    """No such service or batch."""


@functools.cache
def _routes() -> Map:
    """Give the paths, which are compiled once: every vendor of a process has the same."""
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


class Motorweb(BackOffice):
    """The vendor `motorweb-bdp`."""

    name = "motorweb-bdp"
    credentials: ClassVar[dict[str, str]] = {
        "client_id": "not-a-real-client-id-of-the-lading-motorweb-mock",
        "client_secret": "not-a-real-secret-motorweb-mock",
    }

    def __init__(self, memory: Memory, clock: Clock, *, switches: MotorwebSwitches | None = None) -> None:
        """Take memory and clock; `switches` are the readings to follow."""
        super().__init__(memory, clock, switches=switches)
        self._routes = _routes()
        self._open: dict[str, Callable[..., Response]] = {
            "token": self._token,
            "put_object": self._put_object,
            "get_object": self._get_object,
        }
        self._guarded: dict[str, Callable[..., Response]] = {
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
        """Answer one request."""
        try:
            return self._routed(request)
        except (orders.BadRequest, answers.BadBody) as error:
            return self.problem(400, str(error))
        except _NotFoundError:
            return self.unknown()
        except HTTPException as error:
            return self.unrouted(error)

    def _routed(self, request: Request) -> Response:
        endpoint, values = self._routes.bind_to_environ(request.environ).match()
        if self._hidden(request.path):
            raise _NotFoundError
        if endpoint in self._open:
            return self._open[endpoint](request, **values)
        refused = tokens.refusal(request, self.memory, self.clock.now())
        if refused is not None:
            return refused
        with self.memory.lock:
            self.settle()
            return self._guarded[endpoint](request, **values)

    def _hidden(self, path: str) -> bool:
        shown = self.switches.prefix
        return shown != "both" and any(path.startswith(f"{one}/") for one in _PREFIXES if one != shown)

    def problem(self, status: int, message: str) -> Response:
        """Answer with an error of the service."""
        return problems.error(self.switches.error_body, status, message)

    def unknown(self) -> Response:
        """Answer as to an id that is not known."""
        return self.problem(404, "The resource for the given id was not found")

    def denied(self) -> Response:
        """Answer as the gateway does to a token that is worth nothing."""
        return tokens.no_access()

    def expired(self) -> Response:
        """Answer as storage does when a URL has expired."""
        return answers.as_refusal(signing.gcs_expired(self.clock.now() - 1))

    # The API, in the order of the document.

    def _token(self, request: Request) -> Response:
        return tokens.grant(request, self.memory, self.credentials, self.clock.now())

    def _list_services(self, _request: Request) -> Response:
        switches = self.switches
        name = SERVICE["name"] if switches.service_name == "display" else SERVICE_CODE
        service = {switches.service_id: SERVICE["id"], "name": name, "description": SERVICE["description"]}
        return answers.as_json([service] if switches.services == "array" else {"total": 1, "content": [service]})

    def _template(self, _request: Request, service_id: str) -> Response:
        if _uuid(service_id) != SERVICE["id"]:
            raise _NotFoundError
        return Response(",".join(rows.COLUMNS) + "\r\n", 200, content_type="text/csv; charset=utf-8")

    def _create_batch(self, request: Request) -> Response:
        if request.mimetype != "application/json":
            msg = "Content-Type must be application/json"
            raise orders.BadRequest(msg)
        order = orders.read(answers.json_of(request))
        if order.service != SERVICE["id"]:
            raise _NotFoundError
        used = any(b.reference == order.reference and b.cancelled is None for b in self.memory.world.all())
        if used and not self.switches.duplicate_references:
            return self.problem(409, "A conflicting resource already exists: userBatchReference is in use")
        return self._made_batch(request, order)

    def _made_batch(self, request: Request, order: orders.Order) -> Response:
        now, number = self.clock.now(), self.memory.world.next_number()
        mark = self.memory.keyed(f"object:{number}".encode()).hex()[:12]
        batch = Batch(
            id=str(self.memory.identity("batch", number)),
            number=number,
            reference=order.reference,
            created=now,
            facts={
                "scheduled": order.scheduled,
                "email": order.email,
                "object": f"123-{moments.seconds(now).rstrip('Z')}-{mark}.csv",
            },
        )
        self.memory.keep(batch)
        url = self._signed(request, "PUT", f"{STORAGE}/user-upload/{batch.facts['object']}")
        expiry = ("123-" if self.switches.printed_expiry else "") + moments.seconds(now + SAID_EXPIRY).rstrip("Z")
        return answers.as_json({"url": url, "expiry": expiry, "batchId": batch.id}, self.switches.create_status)

    def _list_batches(self, _request: Request) -> Response:
        if not self.switches.list_batches:
            raise _NotFoundError
        return answers.as_json([self._view(batch) for batch in self.memory.world.all()])

    def _get_batch(self, _request: Request, batch_id: str) -> Response:
        batch = self._find(batch_id)
        answer = answers.as_json(self._view(batch))
        self.polled(batch)
        return answer

    def _delete_batch(self, _request: Request, batch_id: str) -> Response:
        batch = self._find(batch_id)
        status = self._status(batch)
        if status not in ({"PENDING", "SCHEDULED"} if self.switches.delete_scheduled else {"PENDING"}):
            return self.problem(
                self.switches.delete_refusal, f"Only a pending batch can be deleted; this one is {status}"
            )
        self.memory.keep(replace(batch, cancelled=self.clock.now()))
        return Response(status=self.switches.deleted_status)

    def _reports(self, request: Request, batch_id: str) -> Response:
        batch = self._find(batch_id)
        status, url, expiry = self._status(batch), None, None
        if status == phases.DONE:
            url = self._signed(request, "GET", f"{STORAGE}/user-results/{batch.id}.csv")
            expiry = moments.seconds(self.clock.now() + self.switches.url_lifetime)
        said = {"batchId": batch.id, "status": self._shown(status), "url": url, "expiry": expiry}
        answer = answers.as_json([said] if self.switches.reports == "array" else said)
        self.polled(batch)
        return answer

    def _errors(self, request: Request, batch_id: str) -> Response:
        batch, wanted = self._find(batch_id), request.args.get("errorType")
        if (
            wanted is not None
            and wanted not in rows.ERROR_TYPES
            and self.switches.unknown_error_type == HTTPStatus.BAD_REQUEST
        ):
            msg = f"errorType must be one of {', '.join(rows.ERROR_TYPES)}"
            raise orders.BadRequest(msg)
        done = self._status(batch) == phases.DONE
        if not self._has_errors(batch, done=done) and self.switches.no_errors != HTTPStatus.OK:
            return self._no_errors()
        head = f'{{"batchId":"{batch.id}","batchItemsErrors":['
        items = _kept_errors(self._made(batch).errors, wanted) if done else iter(())
        return answers.as_json_list(head, items, "]}")

    def _download_errors(self, _request: Request, batch_id: str) -> Response:
        batch = self._find(batch_id)
        kind, done = "text/csv; charset=utf-8", self._status(batch) == phases.DONE
        if not self._has_errors(batch, done=done) and self.switches.no_errors != HTTPStatus.OK:
            return self._no_errors()
        if not done:
            return Response(",".join([*rows.COLUMNS, *files.ERROR_COLUMNS]) + "\r\n", 200, content_type=kind)
        return answers.as_file(self._made(batch).errors_csv, kind)

    def _has_errors(self, batch: Batch, *, done: bool) -> bool:
        counts = batch.outcome.counts if batch.outcome and done else {}
        return bool(counts.get("validationErrors") or counts.get("processingErrors"))

    def _no_errors(self) -> Response:
        status = self.switches.no_errors
        return self.problem(status, "No errors") if status == HTTPStatus.NOT_FOUND else Response(status=status)

    # Storage, whose host is this server too.

    def _put_object(self, request: Request, name: str) -> Response:
        refusal = signing.gcs_refusal(answers.call_of(request), secret=self.memory.secret, now=self.clock.now())
        content_md5 = request.headers.get("Content-Md5")
        refusal = refusal or signing.digest_refusal(content_md5)
        if refusal is not None:
            return answers.as_refusal(refusal)
        with self.memory.lock:
            found = next((b for b in self.memory.world.all() if b.facts["object"] == name), None)
        if found is None:
            return problems.no_such_key()
        return self.take_in(request, found.id, content_md5=content_md5, limit=self.switches.max_bytes)

    def _get_object(self, request: Request, name: str) -> Response:
        refusal = signing.gcs_refusal(answers.call_of(request), secret=self.memory.secret, now=self.clock.now())
        if refusal is not None:
            return answers.as_refusal(refusal)
        with self.memory.lock:
            self.settle()
            batch = self.memory.world.get(name.removesuffix(".csv"))
            if batch is None or self._status(batch) != phases.DONE:
                return problems.no_such_key()
            return answers.as_file(self._made(batch).result, "text/csv")

    # What the above share.

    def _signed(self, request: Request, verb: str, path: str) -> str:
        call = signing.Call(verb=verb, path=path, query=(), headers={})
        base = request.host_url.rstrip("/")
        now = self.clock.now()
        return signing.gcs_url(base, call, secret=self.memory.secret, now=now, lifetime=self.switches.url_lifetime)

    def _find(self, batch_id: str) -> Batch:
        batch = self.memory.world.get(_uuid(batch_id))
        if batch is None:
            raise _NotFoundError
        return batch


def _uuid(text: str) -> str:
    found = orders.identifier(text)
    if found is None:
        msg = "The id in the path must be a UUID"
        raise orders.BadRequest(msg)
    return found


def _kept_errors(file: Path, wanted: str | None) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            item: dict[str, Any] = json.loads(line)
            if wanted in {None, item["errors"][0]["errorType"]}:
                yield item
