"""What was asked and answered, line by line, so that two runs with one seed can be compared byte by byte.

It holds no secret and no body: of a body only its digest, of a signature only that there was one. Host and port are
left out, because they differ between runs that are otherwise the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from werkzeug.wrappers import Request, Response

    from lading_mocks.faults import Fault

REMEMBERED = 20_000
_HIDDEN_HEADERS = {"host", "authorization", "cookie", "connection"}
_HIDDEN_QUERY = {"X-Goog-Signature", "X-Goog-Credential", "Signature", "AWSAccessKeyId"}
_VARYING = {"date", "server", "connection", "content-length"}


class Transcript:
    """The last exchanges of all vendors, in the order in which the requests came."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def begin(self, vendor: str, request: Request, striking: Sequence[Fault]) -> dict[str, Any]:
        """Note a request; gives the entry, which `answered` completes."""
        query = [(n, "..." if n in _HIDDEN_QUERY else v) for n, v in parse_qsl(request.query_string.decode("latin-1"))]
        headers = {n.lower(): v for n, v in request.headers.items() if n.lower() not in _HIDDEN_HEADERS}
        entry: dict[str, Any] = {
            "vendor": vendor,
            "request": f"{request.method} {request.path}" + (f"?{urlencode(query)}" if query else ""),
            "headers": dict(sorted(headers.items())),
            "authorised": "authorization" in request.headers,
            "faults": [fault.kind for fault in striking],
            "status": None,
        }
        self._entries.append(entry)
        return entry

    def answered(self, entry: dict[str, Any], request: Request, answer: Response) -> None:
        """Complete an entry; the digest of a body that is made while it is sent grows with what was sent."""
        entry["status"] = answer.status_code
        told = {n.lower(): v for n, v in answer.headers.items() if n.lower() not in _VARYING}
        entry["answer"] = dict(sorted(told.items()))
        if answer.is_streamed:
            answer.response = _digesting(answer.response, entry)
            return
        entry["digest"] = _digest([answer.get_data().replace(request.host.encode(), b"host")])

    def lines(self) -> Iterator[str]:
        """Give the entries as JSON lines."""
        for entry in list(self._entries):
            yield json.dumps(entry, sort_keys=True) + "\n"


def _digesting(pieces: Any, entry: dict[str, Any]) -> Iterator[bytes]:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        raw = piece.encode() if isinstance(piece, str) else piece
        digest.update(raw)
        # Before the piece goes out: whoever has received the last one may ask for the transcript at once.
        entry["digest"] = digest.hexdigest()
        yield raw


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
