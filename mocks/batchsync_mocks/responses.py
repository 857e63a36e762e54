"""HTTP helpers: JSON responses, XML storage errors, streamed arrays and files, request bodies with limits."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wrappers import Request, Response

from batchsync_mocks import exact_numbers
from batchsync_mocks.disk import CHUNK
from batchsync_mocks.signing import Call, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from gzip import GzipFile
    from pathlib import Path

BODY_LIMIT = 1 << 20
#: Bytes of the largest file whose ETag is its MD5.
_HASHED_BYTES = 8 << 20
_PROBLEM = "mock_problem"


class BadBodyError(Exception):
    """Error for a request body that is too large or malformed; the text gives the reason."""


def explained(response: Response, problem: str) -> Response:
    """Note on a response what was wrong with its request, for the status page; it is not sent.

    Returns:
        The response.
    """
    vars(response)[_PROBLEM] = problem
    return response


def problem_of(response: Response) -> str:
    """Return what was wrong with the request of a response, as `explained` noted it; empty if nothing was."""
    return str(vars(response).get(_PROBLEM, ""))


def json_response(content: object, status: int = 200) -> Response:
    """Return a response with a JSON document."""
    return Response(exact_numbers.dumps(content), status, content_type="application/json")


def json_array(head: str, items: Iterable[object], tail: str) -> Response:
    """Return a streamed response: a JSON document whose long array is generated while it is sent.

    Args:
        head: The document up to and including the opening bracket of the array.
        items: The elements of the array.
        tail: The rest of the document, from the closing bracket on.
    """

    def pieces() -> Iterator[str]:
        yield head
        # Many small writes cost more than the JSON itself, so items are buffered.
        buffer: list[str] = []
        for number, item in enumerate(items):
            buffer.append(("," if number else "") + exact_numbers.dumps(item))
            if len(buffer) >= 500:  # noqa: PLR2004 - a buffer size
                yield "".join(buffer)
                buffer.clear()
        yield "".join(buffer) + tail

    return Response(pieces(), 200, content_type="application/json")


def storage_error(refusal: Refusal) -> Response:
    """Return the XML error response of an object store."""
    elements = [("Code", refusal.code), ("Message", refusal.message), *refusal.more]
    body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements)
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'
    problem = f"{refusal.code}: {refusal.message}" + (f" ({refusal.cause})" if refusal.cause else "")
    return explained(Response(document, refusal.status, content_type="application/xml"), problem)


def file_response(request: Request, file: Path, content_type: str, *, modified: float) -> Response:
    """Return a streamed response with a stored file or the range of it that a request asks for.

    Args:
        request: The request, whose `Range` and `If-...` headers are honoured.
        file: The file.
        content_type: Its type.
        modified: When it was stored, in epoch seconds of the vendor's clock.

    Raises:
        FileNotFoundError: If the file does not exist.
    """
    stream = file.open("rb")
    size = file.stat().st_size
    response = stream_response(stream, content_type)
    response.content_length = size
    response.last_modified = datetime.fromtimestamp(int(modified), UTC)
    response.set_etag(_etag(file, size, modified))
    try:
        return response.make_conditional(request, accept_ranges=True, complete_length=size)
    except RequestedRangeNotSatisfiable:
        response.close()
        more = (("RangeRequested", request.headers.get("Range", "")), ("ActualObjectSize", str(size)))
        message = "The requested range is not satisfiable"
        return storage_error(Refusal(status=416, code="InvalidRange", message=message, more=more))


def _etag(file: Path, size: int, modified: float) -> str:
    """Return the MD5 of a file, as storage does for what was uploaded in one part; of a large one another digest."""
    digest = hashlib.md5(usedforsecurity=False)
    if size > _HASHED_BYTES:
        digest.update(f"{size} {modified}".encode())
        return f"{digest.hexdigest()}-{size // _HASHED_BYTES + 1}"
    digest.update(file.read_bytes())
    return digest.hexdigest()


def stream_response(stream: IO[bytes] | GzipFile, content_type: str) -> Response:
    """Return a streamed response with the content of an open file, which is closed at the end."""

    def pieces() -> Iterator[bytes]:
        with stream:
            while piece := stream.read(CHUNK):
                yield piece

    response = Response(pieces(), 200, content_type=content_type)
    response.call_on_close(stream.close)
    return response


def origin_of(request: Request) -> str:
    """Return scheme and host by which a client reaches the mock, for URLs: behind a TLS proxy that of the proxy."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme).partition(",")[0].strip().lower()
    return f"{scheme if scheme in {'http', 'https'} else request.scheme}://{request.host}"


def read_body(request: Request) -> bytes:
    """Return a small request body.

    Raises:
        BadBodyError: If the body has more than 1 MiB.
    """
    body = request.stream.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        msg = "The body has more than 1 MiB."
        raise BadBodyError(msg)
    return body


def read_json(request: Request) -> dict[str, Any]:
    """Return a small request body as a JSON object.

    Raises:
        BadBodyError: If the body has more than 1 MiB, is not JSON, or is not an object.
    """
    body = read_body(request)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        msg = "The body is not JSON."
        raise BadBodyError(msg) from None
    if not isinstance(content, dict):
        msg = "The body is not a JSON object."
        raise BadBodyError(msg)
    return content


def storage_call(request: Request) -> Call:
    """Return a request in the format that signatures cover: its path exactly as it was sent."""
    raw = str(request.environ["RAW_URI"])
    path, _, query = raw.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    pairs = parse_qsl(query, keep_blank_values=True)
    return Call(verb=request.method, path=path, query=pairs, headers=headers)
