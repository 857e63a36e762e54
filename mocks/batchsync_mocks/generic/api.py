"""HTTP API of a vendor of a folder: its calls, with the answers that its spec reads or its exchanges show."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response

from batchsync_mocks import responses, signing
from batchsync_mocks.generic import access, answers, forms, links, logs, phases, routes
from batchsync_mocks.generic.delivery import Delivery
from batchsync_mocks.generic.templates import put
from batchsync_mocks.vendor import STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.batches import Batch
    from batchsync_mocks.clock import Clock
    from batchsync_mocks.generic.routes import Match
    from batchsync_mocks.generic.spec import Auth, Call, Download
    from batchsync_mocks.generic.switches import GenericSwitches
    from batchsync_mocks.vendor_state import VendorState

#: Last items of a list of batches.
_LISTED = 200


class GenericVendor(Delivery):
    """Mock of a vendor of a folder; `generic.vendor_class` makes a class of it for each."""

    def __init__(self, state: VendorState, clock: Clock, *, switches: GenericSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock, switches=switches)
        auth = self.spec.auth
        self._routes = routes.RouteTable(self.spec.every_call())
        self._token_routes = routes.RouteTable([auth.token] if auth and auth.token else [])
        self._linked = {call.name: call for call in self.spec.every_call() if not call.url.startswith("/")}

    def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        try:
            return self._routed(request)
        except responses.BadBodyError as error:
            return self.error_response(400, str(error))
        except HTTPException as error:
            return self.routing_error(error)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error response of the API."""
        return answers.refusal(self.spec, None, status, message)

    def not_found(self) -> Response:
        """Return the response to an unknown batch."""
        return answers.refused_as(self.spec, self.spec.calls["poll"], ("absent",), 404, "No such batch")

    def unauthorized(self) -> Response:
        """Return the response to invalid credentials."""
        call = next((c for c in self.spec.every_call() if self._shows(c, 401)), None)
        response = answers.refusal(self.spec, call, 401, "The credentials are invalid")
        if self.spec.auth is not None and self.spec.auth.kind == "basic":
            response.headers["WWW-Authenticate"] = 'Basic realm="mock"'
        return response

    def url_expired(self) -> Response:
        """Return the response of storage to an expired URL."""
        now = self.clock.now()
        call = next((call for call in self._linked.values() if call.rule("expired")), None)
        return responses.storage_error(links.expired(call, now - 1, now))

    def _shows(self, call: Call, status: int) -> bool:
        """Return whether an exchange of a call has a status."""
        return any(item["response"]["status"] == status for item in self.spec.exchanges_of(call))

    def _routed(self, request: Request) -> Response:
        """Authenticate a request and pass it to what serves its path."""
        if request.path.startswith(f"{STORAGE}/"):
            return self._storage(request)
        auth = self.spec.auth
        if auth is not None and auth.token is not None and self._is_token_request(request):
            return self._token(request, auth, auth.token)
        if request.path.startswith(f"{links.LINKS}/"):
            return self._api_link(request)
        match = self._routes.match(request) if self._is_authorized(request) else self._open_match(request)
        return self.unauthorized() if match is None else self._matched(request, match)

    def _matched(self, request: Request, match: Match) -> Response:
        """Return the answer to a request of a route, whose credentials are valid."""
        refusal = answers.documented_refusal(self.spec, match.route.call, match.captured)
        if refusal is not None:
            return refusal
        if match.route.call.sends_file:
            return self.upload(request, match)
        with self.state.lock:
            self.process_due()
            return self._answer(request, match)

    def _is_authorized(self, request: Request) -> bool:
        """Return whether a request carries valid credentials."""
        return access.is_authorized(request, self.spec.auth, self.credentials, self.state, self.clock.now())

    def _open_match(self, request: Request) -> Match | None:
        """Return the route of a request without credentials, if it is one of the storage."""
        match = self._routes.match(request)
        return match if match.route.call.storage else None

    def _is_token_request(self, request: Request) -> bool:
        """Return whether a request is for the path of the token call."""
        token = self.spec.auth.token if self.spec.auth else None
        return token is not None and (request.method, request.path) == (token.method, token.url.partition("?")[0])

    def _token(self, request: Request, auth: Auth, call: Call) -> Response:
        """Respond to the token call."""
        match access.may_have_token(request, auth, self.credentials, self.clock.now()):
            case None:
                return answers.refusal(self.spec, call, 400, "The body is not that of a token request")
            case False:
                return answers.refusal(self.spec, call, 401, "The credentials are invalid")
            case _:
                lifetime = int(self.switches.url_lifetime)
                token = access.token(self.state, self.clock.now(), lifetime)
                values = {"token": token, "seconds": lifetime}
                return answers.accepted(self.spec, [call], values, {})

    def _answer(self, request: Request, match: Match) -> Response:
        """Respond to a call that sends no file."""
        handlers: dict[str, Callable[[Request, Match], Response]] = {
            "allocate": self.allocate,
            "commit": self.commit,
            "cancel": self.cancel,
            "describe.choice.call": self._choice,
            "describe.template": self._template,
        }
        is_check = match.route.call.name == "describe.check" and len(match.route.calls) == 1
        if is_check:
            return answers.accepted(self.spec, match.route.calls, {}, {})
        return handlers.get(match.route.call.name, self._look_up)(request, match)

    def _choice(self, _request: Request, match: Match) -> Response:
        """Return the list that a target selects from: that of an exchange, or one item."""
        choice, call = self.spec.choice, match.route.call
        if choice is None or self.spec.exchanges_of(call):
            return answers.accepted(self.spec, [call], {}, {})
        item = put(None, choice.ids[0], str(self.state.stable_uuid("choice", 1)))
        return responses.json_response([put(item, choice.names[0], "Example")])

    def _template(self, _request: Request, match: Match) -> Response:
        """Return the input template: that of an exchange, or the members of the default schema."""
        call = match.route.call
        text = answers.text_of(self.spec, call)
        fields = (self.spec.schemas.get(self.spec.default_schema) or [{}])[0].get("fields") or {}
        if text is None and not fields:
            return answers.refused_as(self.spec, call, ("absent",), 404, "There is no template")
        return Response(text or ",".join(fields) + "\r\n", 200, content_type="text/csv; charset=utf-8")

    def _look_up(self, request: Request, match: Match) -> Response:
        """Respond to a call that reads the state of a batch, of all batches, or of the rows of one."""
        route = match.route
        batch = self.batch_of(match)
        if batch is None and (match.captured or not any(call.item for call in route.calls)):
            call = next((call for call in route.calls if call.rule("absent")), route.call)
            return answers.refused_as(self.spec, call, ("absent",), 404, "No such batch")
        download = self._download_of(route.call)
        if download is not None and batch is not None:
            return self._document(request, download, batch)
        response = self._state_of(request, route.calls, batch, match.captured)
        shown = [batch] if batch is not None else self.state.batches.all()
        self.on_polled_together(shown)
        return response

    def _state_of(
        self, request: Request, calls: tuple[Call, ...], batch: Batch | None, given: Mapping[str, Any]
    ) -> Response:
        """Return the state of a batch, or of all batches in a list; `given` are the placeholders of the request."""
        item = next((call.item for call in calls if call.item), None)
        if item is None and batch is not None:
            values = self.values_of(request, calls, batch)
            known = {**{name: str(value) for name, value in given.items()}, "allocation.id": self.id_of(batch)}
            return self._with_counters(answers.accepted(self.spec, calls, values, known), calls, batch)
        shown = [batch] if batch is not None else self.state.batches.all()[-_LISTED:]
        listed = [self._item(request, calls, each) for each in shown]
        return responses.json_response(put(None, item.items if item else "", listed))

    def _item(self, request: Request, calls: tuple[Call, ...], batch: Batch) -> Any:
        """Return a batch as an item of a list."""
        document: Any = {}
        values = self.values_of(request, calls, batch)
        for call in calls:
            if call.item is not None:
                document = put(document, call.item.at, self._values.identity(call.item.equals, self.id_of(batch)))
            document = answers.with_values(document, call, values)
        return self._counted(document, calls, batch)

    def _with_counters(self, response: Response, calls: tuple[Call, ...], batch: Batch) -> Response:
        """Return an answer with the numbers of rows of a finished batch, if it has them."""
        if not self._has_counts(calls):
            return response
        document = response.get_json(force=True)
        return responses.json_response(self._counted(document, calls, batch), response.status_code)

    def _has_counts(self, calls: tuple[Call, ...]) -> bool:
        """Return whether the answer to calls has the numbers of rows."""
        name = "poll" if self.spec.counts is None else self.spec.counts.name
        return any(call.name == name for call in calls)

    def _counted(self, document: Any, calls: tuple[Call, ...], batch: Batch) -> Any:
        """Return a document with the numbers of rows of a finished batch, if it has them."""
        pointers = [*self.spec.counters, *([self.spec.results_counter] if self.spec.results_counter else [])]
        if not self._has_counts(calls):
            return document
        ended = phases.is_ended(batch, self.clock.now(), self.spec, self.switches)
        counts = batch.outcome.counts if batch.outcome and ended else {}
        rejected = [counts.get("rejected"), *(0 if counts else None for _ in self.spec.counters[1:])]
        numbers = [*(rejected if self.spec.counters else ()), counts.get("accepted")]
        for pointer, number in zip(pointers, numbers, strict=False):
            document = put(document, pointer, number)
        return document

    def _download_of(self, call: Call) -> Download | None:
        """Return the document that a call downloads, or None."""
        return next((download for download in self.spec.downloads if download.call.name == call.name), None)

    def _document(self, request: Request, download: Download, batch: Batch) -> Response:
        """Return a document about the rows of a batch."""
        if not self._has_logs(batch):
            self.on_polled(batch)
            return answers.refused_as(self.spec, download.call, ("absent",), 404, "The batch has no such document yet")
        skip, size, following = links.page_of(request, download.pages, self.switches.page_size)
        form = logs.Form(
            skip=skip,
            page_size=size,
            next_page=following,
            columns=self._values.further_columns(download),
            document=answers.document_of(self.spec, download.call, {"allocation.id": self.id_of(batch)}),
        )
        upload, outcomes = self._upload_of(batch), self._outcomes_of(batch)
        body, kind = logs.content(download, self.spec, upload, outcomes, form)
        return Response(body, 200, content_type=kind)

    # URLs that earlier answers contained.

    def _storage(self, request: Request) -> Response:
        """Respond to a request to a signed URL."""
        call, batch_id = self._link(request, STORAGE)
        now = self.clock.now()
        if forms.has_fields(call):
            return self._form(request, call, batch_id)
        refusal = links.refusal(request, self.state, now)
        if refusal is not None and refusal.message == "Request has expired":
            refusal = links.expired(call, float(request.args["Expires"]), now)
        content_md5 = request.headers.get("Content-Md5")
        refusal = refusal or signing.digest_refusal(content_md5)
        if refusal is not None:
            response = responses.storage_error(refusal)
            return self.noted(batch_id, response) if call.sends_file else response
        if call.sends_file:
            return self.noted(batch_id, self.receive_upload(request, batch_id, content_md5=content_md5))
        return self._linked_answer(request, call, batch_id)

    def _form(self, request: Request, call: Call, batch_id: str) -> Response:
        """Respond to an upload by a form with signed fields."""
        now = self.clock.now()
        refusal = forms.refusal(request, self.state, now)
        if refusal is not None and "expired" in refusal.message and call.rule("expired"):
            refusal = links.expired(call, now, now)
        if refusal is not None:
            return self.noted(batch_id, responses.storage_error(refusal))
        forms.unpack(request, call)
        response = self.noted(batch_id, self.receive_upload(request, batch_id))
        if response.status_code == HTTPStatus.OK:
            # The documented answer of S3, unless a field asks for another one.
            response.status_code = HTTPStatus.NO_CONTENT
        return response

    def _api_link(self, request: Request) -> Response:
        """Respond to a request to a URL of the API that an answer contained."""
        call, batch_id = self._link(request, links.LINKS)
        if not self._is_authorized(request):
            return self.unauthorized()
        if call.sends_file:
            forms.unpack(request, call)
            return self.receive_answered(request, call, batch_id)
        return self._linked_answer(request, call, batch_id)

    def _link(self, request: Request, prefix: str) -> tuple[Call, str]:
        """Return call and id of a batch of the path of a request; raise if there is none."""
        name, _, batch_id = request.path.removeprefix(f"{prefix}/").partition("/")
        call = self._linked.get(unquote(name))
        if call is None or call.method != request.method or self.state.batches.get(batch_id) is None:
            raise NotFound
        return call, batch_id

    def _linked_answer(self, request: Request, call: Call, batch_id: str) -> Response:
        """Return what a URL of an earlier answer leads to."""
        with self.state.lock:
            self.process_due()
            batch = self.state.batches.get(batch_id)
            if batch is None:
                raise NotFound
            download = self._download_of(call)
            if download is None:
                return self._state_of(request, (call,), batch, {})
            if call.storage and not self._has_logs(batch):
                missing = signing.Refusal(status=404, code="NoSuchKey", message="The specified key does not exist.")
                return responses.storage_error(missing)
            return self._document(request, download, batch)
