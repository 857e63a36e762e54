"""Transcript of requests and responses as JSON lines, byte for byte equal for runs with the same seed.

It contains no secrets and no bodies, only digests of bodies. Host and port are left out, because they differ between
otherwise identical runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from werkzeug.wrappers import Request, Response

    from batchsync_mocks.faults import Fault

MAX_ENTRIES = 20_000
_HIDDEN_HEADERS = {"host", "authorization", "cookie", "connection"}
_HIDDEN_QUERY = {
    *("X-Goog-Signature", "X-Goog-Credential", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"),
    *("Signature", "AWSAccessKeyId"),
}
#: A signature that covers host and port.
_SIGNATURE_OF_HOST = re.compile(rb"X-Amz-Signature=[0-9a-f]{64}")
_VARYING_HEADERS = {"date", "server", "connection", "content-length"}


class Transcript:
    """The last exchanges of all vendors, in the order of the requests."""

    def __init__(self) -> None:
        """Create an empty transcript."""
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_ENTRIES)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def begin(self, vendor: str, request: Request, active_faults: Sequence[Fault]) -> dict[str, Any]:
        """Add a request.

        Args:
            vendor: Name of the vendor.
            request: The request.
            active_faults: Faults that hit the request.

        Returns:
            The entry, to be passed to `complete`.
        """
        query = [(n, "..." if n in _HIDDEN_QUERY else v) for n, v in parse_qsl(request.query_string.decode("latin-1"))]
        headers = {n.lower(): v for n, v in request.headers.items() if n.lower() not in _HIDDEN_HEADERS}
        entry: dict[str, Any] = {
            "vendor": vendor,
            "request": f"{request.method} {request.path}" + (f"?{urlencode(query)}" if query else ""),
            "headers": dict(sorted(headers.items())),
            "authorised": "authorization" in request.headers,
            "faults": [fault.kind for fault in active_faults],
            "status": None,
        }
        self._entries.append(entry)
        return entry

    def complete(self, entry: dict[str, Any], request: Request, response: Response) -> None:
        """Add the response to an entry; the digest of a streamed body is updated while it is sent."""
        entry["status"] = response.status_code
        headers = {n.lower(): v for n, v in response.headers.items() if n.lower() not in _VARYING_HEADERS}
        entry["answer"] = dict(sorted(headers.items()))
        if response.is_streamed:
            response.response = _with_digest(response.response, entry)
            return
        body = response.get_data().replace(request.host.encode(), b"host")
        entry["digest"] = _digest([_SIGNATURE_OF_HOST.sub(b"", body)])

    def lines(self) -> Iterator[str]:
        """Yield the entries as JSON lines."""
        for entry in list(self._entries):
            yield json.dumps(entry, sort_keys=True) + "\n"


def _with_digest(chunks: Any, entry: dict[str, Any]) -> Iterator[bytes]:
    """Yield the chunks of a body while updating the digest in its entry."""
    digest = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        raw = chunk.encode() if isinstance(chunk, str) else chunk
        digest.update(raw)
        # Before the chunk is sent: a client may read the transcript right after the last chunk.
        entry["digest"] = digest.hexdigest()
        yield raw


def _digest(chunks: Iterable[bytes]) -> str:
    """Return the digest of a body in hex."""
    digest = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
