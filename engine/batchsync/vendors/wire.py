"""HTTP requests and responses as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.vendor_calls import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request.

    Attributes:
        method: HTTP method.
        url: Absolute URL, possibly signed.
        endpoint: Whether the request goes to the API or to the storage.
        headers: Header values by name.
        body: Body, unless `file` is the body.
        file: Path of a batch file that is the body.
        size: Size of `file`, in bytes.
        before: Bytes before the file, in a multipart body.
        after: Bytes after it.
    """

    method: str
    url: str = field(repr=False)
    endpoint: Endpoint
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    file: str | None = None
    size: int = 0
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response.

    Attributes:
        status: HTTP status.
        headers: Header values by lower-case name.
        body: Body; empty if it was saved.
        saved: Whether the body was written to a file.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    saved: bool = False
