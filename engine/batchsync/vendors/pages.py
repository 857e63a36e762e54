"""Pages of a JSON document: by the URL or the cursor in a page, by the number of the first item, or by page number."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batchsync.core.vendor_calls import ResponseClass
from batchsync.errors import AmbiguousOutcomeError, PermanentError
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import Exchange, ensure_ok, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.vendor_calls import Call, Pages

Known = dict[str, str | int | None]


class PagedDocument:
    """A document in pages. The first page is requested at once, as it shows whether there is a document."""

    def __init__(self, send: Callable[[Call, Known], Exchange], call: Call, pages: Pages, known: Known) -> None:
        """Request the first page.

        Args:
            send: Sends a call, and returns the exchange.
            call: The call of the first page.
            pages: Where further pages are.
            known: Values of placeholders.

        Raises:
            VendorError: If the request fails, or is refused.
        """
        self._send, self._call, self._pages, self._known = send, call, pages, known
        self._position: str | int = pages.first
        self._seen: set[str | int] = set()
        self._first = self._exchange(call if pages.next else _positioned(call, pages))
        is_absent = ensure_ok(self._first) is ResponseClass.ABSENT
        #: Whether the vendor has the document.
        self.exists = not is_absent and self._first.response.status != HTTPStatus.NO_CONTENT

    def pages(self) -> Iterator[Any]:
        """Yield the pages as JSON values.

        Raises:
            VendorError: If a request fails, a page is not of the declared form, or the pages do not end.
        """
        exchange: Exchange | None = self._first
        read_items = 0
        while exchange is not None:
            page = read(exchange)
            items = None if self._pages.next else self._items(exchange, page)
            if items == [] and read_items:
                return
            yield page
            read_items += len(items or ())
            exchange = self._following(page, items, read_items)

    def refuse_endless(self) -> None:
        """Raise, because the pages do not end.

        Raises:
            PermanentError: Always.
        """
        raise PermanentError(f"{self._first.request_line}: the pages of the document do not end")

    def _items(self, exchange: Exchange, page: Any) -> list[Any]:
        """Return the items of a page."""
        items = response_parsing.json_pointer(page, self._pages.items)
        if isinstance(items, list):
            return items
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no list of items"
        )

    def _following(self, page: Any, items: list[Any] | None, read_items: int) -> Exchange | None:
        """Return the exchange of the next page; None after the last one."""
        if items is None:
            linked = response_parsing.text(page, (self._pages.next,))
            if linked is None:
                return None
            position: str | int = linked
            call = _linked(self._call, self._pages)
        else:
            total = response_parsing.count(page, self._pages.total) if self._pages.total else None
            if not items or (total is not None and read_items >= total):
                return None
            # A vendor may give fewer items than are asked for, so that only an empty page is the end.
            position = int(self._position) + (len(items) if self._pages.offset else 1)
            call = _positioned(self._call, self._pages)
        if position in self._seen:
            self.refuse_endless()
        self._seen.add(position)
        self._position = position
        exchange = self._exchange(call)
        is_absent = ensure_ok(exchange) is ResponseClass.ABSENT or exchange.response.status == HTTPStatus.NO_CONTENT
        if is_absent and items is None:
            raise PermanentError(exchange.describe())
        return None if is_absent else exchange

    def _exchange(self, call: Call) -> Exchange:
        """Send the call of the page at the current position."""
        return self._send(call, {**self._known, "found.next": self._position})


def _linked(call: Call, pages: Pages) -> Call:
    """Return the call of the page whose URL or cursor is the placeholder `found.next`."""
    return _with_query(call, f"{pages.param}={{found.next}}") if pages.param else replace(call, url="{found.next}")


def _positioned(call: Call, pages: Pages) -> Call:
    """Return the call of the page whose position is the placeholder `found.next`."""
    size = f"&{pages.limit}={pages.size}" if pages.limit else ""
    return _with_query(call, f"{pages.offset or pages.page}={{found.next}}{size}")


def _with_query(call: Call, query: str) -> Call:
    """Return a call with further parameters in its URL."""
    return replace(call, url=f"{call.url}{'&' if '?' in call.url else '?'}{query}")
