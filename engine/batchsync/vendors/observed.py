"""A client that reports each answer to a listener, and asks what only shows a fact: for `batchsync vendors verify`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import Call, CallName
from batchsync.core.verification import Observation
from batchsync.util.gzip_reader import DAMAGED, iter_decompressed
from batchsync.vendors import response_parsing
from batchsync.vendors.client import HttpVendor
from batchsync.vendors.dialect import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batchsync.core.batch import BatchFile
    from batchsync.core.vendor_calls import Dialect
    from batchsync.core.verification import Probe
    from batchsync.vendors.client import PlaceholderValues
    from batchsync.vendors.dialect import Exchange

#: Bytes of a downloaded document that are looked at.
_DOCUMENT_MAX = 4 << 20


class ObservedVendor(HttpVendor):
    """Client whose answers can be observed. Implements `batchsync.ports.ObservableVendor`."""

    _listener: Callable[[Observation], None] | None = None

    def observe(self, listener: Callable[[Observation], None]) -> None:
        """Tell a listener of each answer from now on, that to a request for a token included."""
        self._listener = listener
        self._names = {id(call): name for name, call in _calls(self._dialect)}
        self._known: PlaceholderValues = {}
        self._auth.listener = lambda exchange: self._tell(exchange, None)

    def probe(self, probe: Probe) -> None:
        """Make a request that changes nothing, and tell the listener of its answer.

        Raises:
            PermanentError: If its URL names the batch, and there was none.
        """
        request = build(Call(method="GET", url=probe.url), self._known, self._base_url)
        request = replace(request, headers={"Accept": "application/json"})
        response = self._send_authenticated(request, self._auth.headers(request) if probe.authenticated else {}, None)
        if self._listener is not None:
            document, is_table = _content(response.body)
            self._listener(Observation(call=probe.url, status=response.status, document=document, is_table=is_table))

    def exchange(
        self, call: Call, known: PlaceholderValues, file: BatchFile | None = None, into: Path | None = None
    ) -> Exchange:
        """Send a call, and tell the listener of its answer.

        Returns:
            The exchange, whatever its status; see `HttpVendor.exchange`.
        """
        exchange = super().exchange(call, known, file, into)
        if self._listener is not None:
            self._known |= {name: value for name, value in known.items() if name == "allocation.id"}
            self._tell(exchange, into)
        return exchange

    def _tell(self, exchange: Exchange, into: Path | None) -> None:
        if self._listener is None:
            return
        response = exchange.response
        is_lines = into is not None and into.suffix == ".jsonl"
        body = _saved(into) if into is not None and response.saved else response.body
        document, is_table = _content(body, is_lines=is_lines)
        name = self._names.get(id(exchange.call), "")
        self._listener(Observation(call=name, status=response.status, document=document, is_table=is_table))


def _calls(dialect: Dialect) -> Iterator[tuple[str, Call]]:
    """Yield the calls of a dialect by their place in the vendor spec."""
    yield from ((str(name), call) for name, call in dialect.calls.items() if name in set(CallName))
    yield from _calls_below(replace(dialect, calls={}), "")


def _calls_below(node: object, at: str) -> Iterator[tuple[str, Call]]:
    if isinstance(node, Call):
        yield at, node
    elif isinstance(node, tuple):
        for number, item in enumerate(node):
            yield from _calls_below(item, f"{at}.{number}")
    elif is_dataclass(node):
        for item in fields(node):
            name = "connection.auth" if not at and item.name == "auth" else item.name
            yield from _calls_below(getattr(node, item.name), f"{at}.{name}" if at else name)


def _saved(path: Path) -> bytes:
    """Return the beginning of a downloaded document, decompressed; nothing if it is damaged."""
    try:
        return next(iter_decompressed(path, _DOCUMENT_MAX), b"")
    except (*DAMAGED, OSError):
        return b""


def _content(body: bytes, *, is_lines: bool = False) -> tuple[object, bool]:
    """Return the JSON of an answer, or with `is_lines` the list of its lines, and whether it is a table."""
    try:
        if is_lines:
            return [response_parsing.parse_json(line) for line in body.splitlines() if line.strip()], False
        return response_parsing.parse_json(body), False
    except response_parsing.UnreadableError:
        return None, response_parsing.columns(body) is not None
