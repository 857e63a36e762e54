"""What surrounds every request: host names, sign-in, origin of forms, and headers that browsers enforce."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from batchsync.errors import BatchsyncError
from batchsync.web.render import link

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.types import Message, Receive, Scope, Send

    from batchsync.web.access import Access
    from batchsync.web.routes import Pages

#: Answered without access, by any host name: they have no data.
_PROBES = ("/healthz", "/readyz")
#: Read by browsers that are not signed in.
_OPEN = ("/login", "/static/")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    # `no-referrer` would take the origin off forms, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Application around the application of the page."""

    def __init__(self, inner: Starlette, access: Access, pages: Pages, warn: Callable[[str], None]) -> None:
        """Surround an application.

        Args:
            inner: The application.
            access: Rules of access.
            pages: Renders errors.
            warn: Prints a warning about an unexpected error.
        """
        self._inner, self._access, self._pages, self._warn = inner, access, pages, warn
        inner.add_exception_handler(BatchsyncError, self._failed)
        inner.add_exception_handler(Exception, self._broken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = ((name.encode(), value.encode()) for name, value in _HEADERS.items())
                message["headers"] = [*message["headers"], *(item for item in added if item[0] not in present)]
            await send(message)

        refused = self._refusal(request)
        if refused is not None:
            await refused(scope, receive, send_with_headers)
            return
        # The handler of unexpected errors has answered; the server would print the values in a traceback.
        with suppress(Exception):
            await self._inner(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is not passed on; None if it is."""
        path = request.url.path
        if path in _PROBES:
            return None
        return self._unsafe(request) or self._signed_out(request, path)

    def _unsafe(self, request: Request) -> Response | None:
        """Return the refusal of a request that may come from a page of another site; None if it does not."""
        headers = request.headers
        if not self._access.is_known_host(headers.get("host", "")):
            text = "This page is not served under this host name; --page-allow-host adds one.\n"
            return PlainTextResponse(text, HTTPStatus.MISDIRECTED_REQUEST)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Not allowed.\n", HTTPStatus.METHOD_NOT_ALLOWED)
        if request.method == "POST" and not (self._access.is_bearer(headers) or self._access.is_same_origin(headers)):
            return PlainTextResponse("This form was not sent by a page of this server.\n", HTTPStatus.FORBIDDEN)
        return None

    def _signed_out(self, request: Request, path: str) -> Response | None:
        """Return the answer to a request without access; None if it has access, and its user is known then."""
        headers = request.headers
        user = self._access.user(headers, request.cookies)
        request.scope["user"] = user or ""
        if user is not None or path.startswith(_OPEN):
            return None
        if not self._access.token:
            text = f"The proxy in front names no user ({self._access.trusted_header}).\n"
            return PlainTextResponse(text, HTTPStatus.UNAUTHORIZED)
        if request.method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(link("/login", query={"next": path}), HTTPStatus.SEE_OTHER)
        challenge = {"www-authenticate": "Bearer"}
        return PlainTextResponse("A token is needed.\n", HTTPStatus.UNAUTHORIZED, challenge)

    async def _failed(self, request: Request, error: Exception) -> Response:
        """Answer with an expected error, such as a journal that cannot be read."""
        sentences = [text for text in (str(error), getattr(error, "hint", "")) if text]
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._pages.html("message.html", request, status, title="This cannot be shown now", sentences=sentences)

    async def _broken(self, request: Request, error: Exception) -> Response:
        """Answer with the kind of an unexpected error: its text may have values."""
        self._warn(f"the page {request.url.path} failed: {type(error).__name__}")
        return PlainTextResponse(
            "The page failed; the log has the kind of the error.\n", HTTPStatus.INTERNAL_SERVER_ERROR
        )
