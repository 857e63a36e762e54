"""The part of S3's protocol that batchsync uses, on loopback: lists, conditional reads and writes, faults on demand.

tests/servers compares the same journeys with moto.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from kit.scripted_server import Answer, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.scripted_server import Request

KEY_ID, SECRET = "AKIDEXAMPLE", "secret-of-the-lake"
_DATE = "Mon, 30 Nov 2026 01:00:00 GMT"
_PAGE = 1000


class S3Server(ScriptedServer):
    """A server with one bucket, `exports`."""

    def __init__(self) -> None:
        """Start with an empty bucket."""
        super().__init__(self._decide)
        self.objects: dict[str, bytes] = {}
        #: Whether requests must be signed.
        self.signed = True
        #: Called with each request; may change objects, and returns an answer instead of the usual one, or None.
        self.fault: Callable[[Request], Answer | None] = lambda _: None

    def put(self, key: str, data: bytes | str) -> None:
        """Write an object."""
        with self.lock:
            self.objects[key] = data.encode() if isinstance(data, str) else data

    def gets(self, key: str = "") -> list[Request]:
        """Return the requests for the content of an object, or of all of them."""
        found = [item for item in self.requests if item.method == "GET" and "list-type" not in item.query]
        return [item for item in found if not key or item.path == f"/exports/{key}"]

    def _decide(self, request: Request) -> Answer:
        if self.signed and f"Credential={KEY_ID}/" not in request.headers.get("authorization", ""):
            return _error(403, "InvalidAccessKeyId")
        if (answer := self.fault(request)) is not None:
            return answer
        _, bucket, *rest = request.path.split("/", 2)
        if bucket != "exports":
            return _error(404, "NoSuchBucket")
        key = rest[0] if rest else ""
        if not key:
            return self._list(request)
        if request.method == "PUT":
            return self._put(key, request)
        return self._get(key, request)

    def _list(self, request: Request) -> Answer:
        prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        page = keys[:_PAGE]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-30T01:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag(self.objects[key]))}</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in page
        )
        more = len(keys) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}<Name>exports</Name>"
            f"<Prefix>{escape(prefix)}</Prefix>{contents}</ListBucketResult>"
        )
        return Answer(headers={"Content-Type": "application/xml"}, body=body.encode())

    def _get(self, key: str, request: Request) -> Answer:
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        data = self.objects[key]
        wanted = request.headers.get("if-match")
        if wanted is not None and wanted != etag(data):
            return _error(412, "PreconditionFailed")
        headers = {"ETag": etag(data), "Last-Modified": _DATE}
        if found := re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", request.headers.get("range", "")):
            start, end = int(found[1]), min(int(found[2]) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            return Answer(status=206, headers=headers, body=data[start:end])
        return Answer(headers=headers, body=data)

    def _put(self, key: str, request: Request) -> Answer:
        there = self.objects.get(key)
        if request.headers.get("if-none-match") == "*" and there is not None:
            return _error(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        if wanted is not None and (there is None or wanted != etag(there)):
            return _error(412, "PreconditionFailed") if there is not None else _error(404, "NoSuchKey")
        self.objects[key] = request.body
        return Answer(headers={"ETag": etag(request.body)})


def etag(data: bytes) -> str:
    """Return the ETag of an object."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>quoted-by-the-service</Message></Error>"
    return Answer(status=status, headers={"Content-Type": "application/xml"}, body=body.encode())
