"""Answers and questions in HTTP: JSON, XML errors, streamed arrays, files, and bodies read within limits.

It does not know any vendor.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from lading_mocks.disk import CHUNK
from lading_mocks.signing import Call, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from gzip import GzipFile
    from pathlib import Path

BODY_LIMIT = 1 << 20


class BadBody(Exception):  # noqa: N818 - it is the caller's body that is bad
    """A request body that is too large or is not what it should be; the text says why."""


def as_json(content: object, status: int = 200) -> Response:
    """Answer with one JSON document."""
    return Response(json.dumps(content, separators=(",", ":")), status, content_type="application/json")


def as_json_list(head: str, items: Iterable[object], tail: str) -> Response:
    """Answer with a JSON document whose long array is made while it is sent."""

    def pieces() -> Iterator[str]:
        yield head
        # Many small writes cost more than the JSON itself, so they are gathered.
        waiting: list[str] = []
        for number, item in enumerate(items):
            waiting.append(("," if number else "") + json.dumps(item, separators=(",", ":")))
            if len(waiting) >= 500:  # noqa: PLR2004 - a size of convenience, used once
                yield "".join(waiting)
                waiting.clear()
        yield "".join(waiting) + tail

    return Response(pieces(), 200, content_type="application/json")


def as_refusal(refusal: Refusal) -> Response:
    """Answer with the XML error of an object store."""
    elements = [("Code", refusal.code), ("Message", refusal.message), *refusal.more]
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements)
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    return Response(document, refusal.status, content_type="application/xml")


def as_file(file: Path, content_type: str) -> Response:
    """Answer with a file, its length said beforehand, never whole in memory.

    Raises:
        FileNotFoundError: there is no such file.
    """
    answer = as_stream(file.open("rb"), content_type)
    answer.content_length = file.stat().st_size
    return answer


def as_stream(stream: IO[bytes] | GzipFile, content_type: str) -> Response:
    """Answer with what an open file gives, closing it at the end."""

    def pieces() -> Iterator[bytes]:
        with stream:
            while piece := stream.read(CHUNK):
                yield piece

    answer = Response(pieces(), 200, content_type=content_type)
    answer.call_on_close(stream.close)
    return answer


def body_of(request: Request) -> bytes:
    """Read a small body.

    Raises:
        BadBody: it has more than 1 MiB.
    """
    body = request.stream.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        msg = "The body has more than 1 MiB."
        raise BadBody(msg)
    return body


def json_of(request: Request) -> dict[str, Any]:
    """Read a small body as a JSON object.

    Raises:
        BadBody: it is too large, not JSON, or not an object.
    """
    body = body_of(request)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        msg = "The body is not JSON."
        raise BadBody(msg) from None
    if not isinstance(content, dict):
        msg = "The body is not a JSON object."
        raise BadBody(msg)
    return content


def call_of(request: Request) -> Call:
    """See a request as storage judges it: the path exactly as it was sent."""
    raw = str(request.environ["RAW_URI"])
    path, _, query = raw.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    pairs = parse_qsl(query, keep_blank_values=True)
    return Call(verb=request.method, path=path, query=pairs, headers=headers)
