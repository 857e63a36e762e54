"""What goes over the wire and what comes back, as plain values. They know neither vendors nor sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.core.vendor_rules import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, whole. `url` is absolute and may be signed; `file` is the path of a sealed file of `size` bytes."""

    method: str
    url: str = field(repr=False)
    door: Door
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    file: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. Header names are in lower case; `body` is empty where the answer was written to disk."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    saved: bool = False
