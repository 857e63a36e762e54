"""Documents of a finished batch: results, row log and unprocessed rows, found and downloaded as a vendor spec says."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from batchsync.core.batch import Verdict
from batchsync.core.vendor_calls import CallName, ResponseClass
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    NotReadyError,
    PermanentError,
    RetryableError,
    UsageError,
)
from batchsync.ports import Downloads, Finished
from batchsync.vendors import response_parsing
from batchsync.vendors.bodies import write_atomic
from batchsync.vendors.dialect import Exchange, ensure_ok, item_of, read_status, values
from batchsync.vendors.pages import PagedDocument
from batchsync.vendors.row_counts import count_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.batch import Allocation, BatchFile
    from batchsync.core.vendor_calls import Call, Dialect, Download, Pages
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Clock

PlaceholderValues = dict[str, str | int | None]


class SendCall(Protocol):
    """Sends a call and returns the exchange, whatever its status; downloads the body to a path if there is one."""

    def __call__(
        self, call: Call, known: PlaceholderValues, file: BatchFile | None = None, into: Path | None = None
    ) -> Exchange:
        """Return the exchange."""
        ...


def exchange_ok(send: SendCall, call: Call, known: PlaceholderValues) -> Exchange:
    """Send a call whose response must be OK.

    Args:
        send: Sends the call.
        call: The call of the vendor spec.
        known: Values of its placeholders.

    Returns:
        The exchange.

    Raises:
        PermanentError: If the vendor states that the object does not exist, or refuses the request.
    """
    exchange = send(call, known)
    if ensure_ok(exchange) is ResponseClass.ABSENT:
        raise PermanentError(exchange.describe())
    return exchange


class Documents:
    """Downloads the documents of batches of one vendor."""

    def __init__(self, rules: VendorRules, exchange: SendCall, clock: Clock) -> None:
        """Create the downloads of a vendor.

        Args:
            rules: The vendor spec.
            exchange: Sends a call.
            clock: Time source of retries.

        Raises:
            UsageError: If the vendor spec has no dialect.
        """
        if rules.dialect is None:
            raise UsageError(f"{rules.name}: the vendor spec has no HTTP calls (blocks describe and calls)")
        self._rules = rules
        self._dialect: Dialect = rules.dialect
        self._exchange = exchange
        self._clock = clock

    def collect(self, allocation: Allocation, verdict: Verdict, into: Path) -> Downloads:
        """Download results, row log and unprocessed rows into a folder, each completely or not at all.

        Args:
            allocation: The allocation of the batch.
            verdict: Verdict of the batch.
            into: Existing, empty folder.

        Returns:
            The paths of the downloaded files.
        """
        errors = self._errors(allocation, verdict, into)
        rules = self._dialect.unprocessed
        unprocessed = self._fetch_document(rules, allocation, into) if rules else None
        return replace(errors, results=self._results(allocation, into), unprocessed=unprocessed)

    def _results(self, allocation: Allocation, into: Path) -> Path | None:
        """Return the results file; raise while the vendor gives no URL for it although it counts results."""
        rules = self._dialect.results
        if rules is None:
            return None
        path = self._fetch_document(rules, allocation, into)
        counter = self._dialect.results_counter
        if path is None and not (counter and self._row_count(allocation, (counter,)) == 0):
            again = self._clock.now() + self._dialect.results_retry_after
            raise NotReadyError("the batch is finished, but its results cannot be downloaded yet", retry_at=again)
        return path

    def _errors(self, allocation: Allocation, verdict: Verdict, into: Path) -> Downloads:
        """Return the row log, whether it is missing although there are refused rows, and how many the vendor counts.

        All downloads are tried until one lists as many rows as the vendor counts, or any where it does not count; the
        longest is returned. A row log that the vendor has and refuses to return is an error, not an empty log.
        """
        rules = self._dialect.errors
        if rules is None or verdict not in rules.verdicts:
            return Downloads()
        failed = self._row_count(allocation, rules.counters) if rules.counters else None
        best, most, empty, problem = None, -1, False, None
        for download in rules.downloads:
            rows = None
            try:
                path = self._fetch_document(download, allocation, into)
                if path is None:
                    continue
                if len(rules.downloads) > 1:
                    rows = count_rows(path, self._rules.row_log.errors)
            except (PermanentError, AmbiguousOutcomeError) as refused:
                problem = refused
                continue
            if (rows or 0) > most:
                best, most = path, rows or 0
                empty = bool(download.locate) and not path.stat().st_size
            if rows is None or rows >= (1 if failed is None else failed):
                break
        if best is None and problem is not None:
            raise type(problem)(problem.reason)
        # A vendor that reports no failed rows has no row log.
        missing = best is None and (bool(failed) or (not rules.counters and verdict is Verdict.MIXED))
        return Downloads(errors=best, errors_missing=missing, errors_empty=empty, failed=failed)

    def _row_count(self, allocation: Allocation, counters: tuple[str, ...]) -> int | None:
        """Return the sum of the row counts at these JSON pointers in the status, or None if they are missing."""
        known = values(allocation=allocation)
        exchange = self._exchange(self._dialect.counts or self._dialect.calls[CallName.POLL], known)
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            if self._dialect.counts is not None:
                return None
            raise PermanentError(exchange.describe())
        body = item_of(exchange, known)
        counts = [response_parsing.count(body, pointer) for pointer in counters]
        counted = [count for count in counts if count is not None]
        return sum(counted) if len(counted) == len(counts) or any(counted) else None

    def _fetch_document(self, rules: Download, allocation: Allocation, into: Path) -> Path | None:
        """Return the downloaded file, or None if the vendor has none. An expired URL is requested again once."""
        reason = ""
        for _ in range(2 if rules.locate else 1):
            known = self._located(rules, allocation)
            if known is None:
                return None
            try:
                if rules.pages is not None:
                    return self._download_pages(rules.call, rules.pages, known, into / rules.save_as)
                return self._download(rules.call, known, into / rules.save_as)
            except AllocationExpiredError as expired:
                reason = expired.reason
        raise PermanentError(reason)

    def _located(self, rules: Download, allocation: Allocation) -> PlaceholderValues | None:
        """Return the values of placeholders after the calls that precede a download; None if there is no document."""
        known = values(allocation=allocation)
        for call in rules.locate:
            exchange = self._exchange(call, known)
            if ensure_ok(exchange) is ResponseClass.ABSENT:
                return None
            body = item_of(exchange, known)
            found = {name: response_parsing.text(body, pointers) for name, pointers in call.read.items()}
            if any(text is None for text in found.values()):
                self._refuse_stale_status(exchange, body)
                return None
            known |= {f"found.{name}": text for name, text in found.items()}
        return known

    def _refuse_stale_status(self, located: Exchange, body: Any) -> None:
        """Raise if a status without a document is older than the verdict, as from a replica that lags behind."""
        poll = self._dialect.calls[CallName.POLL]
        if located.call.url == poll.url and not isinstance(
            read_status(replace(located, call=poll), self._dialect.vendor_statuses, body), Finished
        ):
            raise RetryableError("the vendor returned a status from before its verdict")

    def _download(self, call: Call, known: PlaceholderValues, path: Path) -> Path | None:
        """Download a document to a path; return the path, or None if the vendor has no document."""
        exchange = self._exchange(call, known, into=path)
        if ensure_ok(exchange) is ResponseClass.ABSENT or exchange.response.status == HTTPStatus.NO_CONTENT:
            return None
        if not exchange.response.saved:
            raise PermanentError(f"{exchange.describe()}, expected 200 with a whole document")
        return path

    def _download_pages(self, call: Call, pages: Pages, known: PlaceholderValues, path: Path) -> Path | None:
        """Download all pages of a document, one per line; return the path, or None if the vendor has no document."""
        document = PagedDocument(self._exchange, call, pages, known)
        if not document.exists:
            return None

        def lines() -> Iterator[bytes]:
            size = 0
            for page in document.pages():
                line = json.dumps(page, separators=(",", ":")).encode() + b"\n"
                size += len(line)
                if size > self._dialect.limits.expanded_max:
                    document.refuse_endless()
                yield line

        write_atomic(path, lines())
        return path
