"""Routes of the generic mock, derived from method, URL and body of the calls of a vendor."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound

from batchsync_mocks import responses
from batchsync_mocks.generic.templates import (
    PLACEHOLDER,
    MismatchError,
    capture,
    capture_text,
    compiled,
    names_of,
    whole_placeholder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.generic.spec import Call

#: The beginning of the query: a question mark that does not end a placeholder.
_QUERY = re.compile(r"\?(?!\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Calls that send the same request: its answer has what each of them reads.

    Attributes:
        calls: The calls; method, path and query of the first one stand for all.
        path: Template of the path.
        query: Templates of parameters by name.
    """

    calls: tuple[Call, ...]
    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def call(self) -> Call:
        """The first call."""
        return self.calls[0]

    @property
    def precision(self) -> tuple[int, int]:
        """How much of a request the route determines; the highest one is tried first."""
        return sum(not names_of(value) for _, value in self.query), -len(names_of(self.path))

    def captured(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of placeholders in a URL, under the names of all calls.

        Args:
            path: The path as it was sent.
            query: The decoded parameters.

        Raises:
            MismatchError: If the route does not serve the URL.
        """
        found = compiled(self.path, "[^/]+").fullmatch(path)
        if found is None:
            raise MismatchError
        values = [None if value is None else unquote(value) for value in found.groups()]
        for name, template in self.query:
            is_optional = template.endswith("?}") and bool(whole_placeholder(template))
            if name not in query and not is_optional:
                raise MismatchError
            named = capture_text(template, query[name]) if name in query else {}
            values += [named.get(placeholder) for placeholder in names_of(template)]
        return {
            name: value
            for call in self.calls
            for name, value in zip(_url_names(call), values, strict=True)
            if value is not None
        }

    def body_captured(self, request: Request, body: bytes) -> dict[str, Any]:
        """Return the values of placeholders in the headers and the body of a request.

        Raises:
            MismatchError: If a member of the body is missing, or has another value than the call sends.
        """
        captured: dict[str, Any] = {}
        for name, template in self.call.headers.items():
            if names_of(template):
                captured |= capture_text(template, request.headers.get(name, ""))
        if self.call.json is not None:
            captured |= capture(self.call.json, _parsed(body))
        elif self.call.form is not None:
            form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            captured |= capture(self.call.form, form)
        return captured


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A request's route, and the values of placeholders in it."""

    route: Route
    captured: Mapping[str, Any]


class RouteTable:
    """The routes of a vendor."""

    def __init__(self, calls: Iterable[Call]) -> None:
        """Derive the routes of calls whose URL is a path."""
        groups: dict[str, list[Call]] = {}
        for call in calls:
            if call.url.startswith("/"):
                groups.setdefault(_identity(call), []).append(call)
        self._routes = [_route(tuple(group)) for group in groups.values()]
        self._routes.sort(key=lambda route: route.precision, reverse=True)

    def match(self, request: Request) -> Match:
        """Return the route of a request.

        Raises:
            NotFound: If no call has this path.
            MethodNotAllowed: If no call has this method at the path.
            BadBodyError: If the body is not one of the calls at the path.
        """
        raw, _, raw_query = str(request.environ["RAW_URI"]).partition("?")
        query = dict(parse_qsl(raw_query, keep_blank_values=True))
        found: list[tuple[Route, dict[str, Any]]] = []
        for route in self._routes:
            try:
                found.append((route, route.captured(raw, query)))
            except MismatchError:
                continue
        if not found:
            raise NotFound
        usable = [(route, values) for route, values in found if route.call.method == request.method]
        if not usable:
            raise MethodNotAllowed(sorted({route.call.method for route, _ in found}))
        return _by_body(usable, request)


def _by_body(usable: list[tuple[Route, dict[str, Any]]], request: Request) -> Match:
    """Return the first of several routes whose call has the body of a request."""
    route, values = usable[0]
    if route.call.sends_file:
        return Match(route=route, captured={**values, **_of_headers(route, request)})
    body, problem = responses.read_body(request), "the body"
    for route, values in usable:
        try:
            return Match(route=route, captured={**values, **route.body_captured(request, body)})
        except MismatchError as mismatch:
            problem = str(mismatch) or "a header"
    msg = f"The request lacks {problem}, or has another value there."
    raise responses.BadBodyError(msg)


def _of_headers(route: Route, request: Request) -> dict[str, Any]:
    """Return the values of placeholders in the headers of an upload."""
    try:
        return route.body_captured(request, b"")
    except MismatchError:
        msg = "The upload lacks a header, or has another value there."
        raise responses.BadBodyError(msg) from None


def _route(calls: tuple[Call, ...]) -> Route:
    """Return the route of calls that send the same request."""
    path, _, query = _split(calls[0].url)
    return Route(calls=calls, path=path, query=tuple(parse_qsl(query, keep_blank_values=True)))


def _split(url: str) -> tuple[str, str, str]:
    """Return path, separator and query of a URL."""
    found = _QUERY.search(url)
    return (url, "", "") if found is None else (url[: found.start()], "?", url[found.end() :])


def _url_names(call: Call) -> list[str]:
    """Return the names of the placeholders in the URL of a call, in order."""
    path, _, query = _split(call.url)
    pairs = parse_qsl(query, keep_blank_values=True)
    return [*names_of(path), *(name for _, value in pairs for name in names_of(value))]


def _identity(call: Call) -> str:
    """Return what is the same for calls that send the same request."""
    url = PLACEHOLDER.sub("{}", call.url)
    content = json.dumps([call.json, call.form, call.sends_file], sort_keys=True, default=str)
    return f"{call.method} {url} {content}"


def _parsed(body: bytes) -> Any:
    """Return a JSON body; raise if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MismatchError("a JSON body") from None
