"""Forms: sign-in, values of rows, and what a person asks the loop to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.routing import Route

from batchsync.errors import BatchsyncError
from batchsync.reconcile.orders import Order
from batchsync.web.access import SESSION_COOKIE, VALUES_COOKIE, VALUES_FOR
from batchsync.web.render import link
from batchsync.web.routes import redirect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response

    from batchsync.reconcile.orders import Reply
    from batchsync.web.routes import Pages

#: Longest body, number of fields, and characters of name and reason.
_MAX_BODY, _MAX_FIELDS, _MAX_TEXT = 64 * 1024, 30, 500
#: Seconds for which the answer waits for the loop, which may be comparing a large source.
_PATIENCE = 8.0
#: Seconds before the answer to a wrong token.
_DELAY = 1.0
VERBS = ("approve", "resolve", "collect", "resume", "run", "plan")


@dataclass(frozen=True, slots=True)
class Forms:
    """Answers to forms."""

    pages: Pages

    def routes(self) -> list[Route]:
        """Return the routes of all forms."""
        return [
            Route("/login", self.login_form, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/values", self.values, methods=["POST"]),
            *(Route(f"/{verb}", self.order, methods=["POST"]) for verb in VERBS),
        ]

    async def login_form(self, request: Request) -> Response:
        """Return the page with the form for the token."""
        return self.pages.html("login.html", request, wrong=False, next=request.query_params.get("next", "/"))

    async def login(self, request: Request) -> Response:
        """Return a new session for the token."""
        given, access = await _fields(request), self.pages.access
        if not access.is_token(given.get("token", "").strip()):
            await asyncio.sleep(_DELAY)
            return self.pages.html(
                "login.html", request, HTTPStatus.UNAUTHORIZED, wrong=True, next=given.get("next", "/")
            )
        response = redirect(given.get("next", "/"))
        _set_cookie(request, response, SESSION_COOKIE, access.open_session(), None)
        return response

    async def logout(self, request: Request) -> Response:
        """Return an answer that ends the session."""
        self.pages.access.close_session(request.cookies)
        response = redirect("/")
        response.delete_cookie(SESSION_COOKIE)
        response.delete_cookie(VALUES_COOKIE)
        return response

    async def values(self, request: Request) -> Response:
        """Return an answer with which this browser shows values of rows for some minutes, or hides them again."""
        given = await _fields(request)
        response = redirect(given.get("next", "/"))
        if given.get("show") == "yes":
            _set_cookie(request, response, VALUES_COOKIE, self.pages.access.show_values(), int(VALUES_FOR))
        else:
            response.delete_cookie(VALUES_COOKIE)
        return response

    async def order(self, request: Request) -> Response:
        """Return what became of what a form asks the loop for."""
        given = await _fields(request)
        order, missing = _order(request.url.path.removeprefix("/"), given, str(request.scope.get("user", "")))
        if missing:
            return self._message(request, HTTPStatus.UNPROCESSABLE_ENTITY, "Nothing was changed", [missing])
        future = asyncio.wrap_future(self.pages.backend.submit(order))
        try:
            reply = await asyncio.wait_for(asyncio.shield(future), _PATIENCE)
        except TimeoutError:
            sentences = ["The loop is busy, for instance with comparing a large source. It does this next."]
            if order.verb == "plan":
                sentences = ["The source is compared; for a large one this takes longer. Go back to the plan then."]
            return self._message(request, HTTPStatus.ACCEPTED, "Accepted", sentences)
        except BatchsyncError as error:
            sentences = [text for text in (error.message, error.hint) if text]
            return self._message(request, HTTPStatus.UNPROCESSABLE_ENTITY, "Nothing was changed", sentences)
        return self._answer(request, given, order, reply)

    def _answer(self, request: Request, given: Mapping[str, str], order: Order, reply: Reply) -> Response:
        if reply.stale:
            sentences = [reply.sentence, "Nothing was changed. Go back and read the page again."]
            return self._message(request, HTTPStatus.CONFLICT, "The page was out of date", sentences)
        if not reply.done:
            return self._message(request, HTTPStatus.UNPROCESSABLE_ENTITY, "Nothing was changed", [reply.sentence])
        if order.verb == "plan":
            return redirect(link("/plan", "", {"job": order.job}))
        place = given.get("next") or link("/jobs/", order.job)
        return redirect(f"{place.partition('?')[0]}?done={order.verb}")

    def _message(self, request: Request, status: int, title: str, sentences: list[str]) -> HTMLResponse:
        return self.pages.html("message.html", request, status, title=title, sentences=sentences)


def _set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    """Set a cookie that scripts do not read and other sites do not send."""
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form; an empty mapping if it is too large or no form."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            return {}
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        return {}
    return dict(pairs)


def _order(verb: str, given: Mapping[str, str], user: str) -> tuple[Order, str]:
    """Return the order of a form, and what it lacks; the name that a proxy gives counts more than a field."""
    name, reason = (user or given.get("name", "")).strip(), given.get("reason", "").strip()
    version, outcome = given.get("version", ""), given.get("outcome", "")
    order = Order(
        verb=verb,
        job=given.get("job", ""),
        run=given.get("run", ""),
        plan=given.get("plan", ""),
        batch=given.get("batch", ""),
        version=int(version) if version.isascii() and version.isdigit() and len(version) < _MAX_FIELDS else 0,
        delivered=outcome == "delivered",
        send=given.get("send") == "yes",
        name=name[:_MAX_TEXT],
        reason=reason[:_MAX_TEXT],
    )
    if not order.job:
        return order, "The form names no job."
    if verb != "plan" and not (name and reason):
        return order, "Name and reason are needed: they are kept in the journal."
    if verb == "resolve" and outcome not in ("delivered", "resend"):
        return order, "Choose whether the vendor has the rows, or they are sent again."
    return order, ""
