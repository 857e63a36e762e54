"""Implementation of the port `batchsync.ports.Vendor` over HTTP, configured by the dialect of a vendor spec."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import VERDICTS_WITH_ROW_LOG, Allocation, BatchFile, IdempotencyKey, Verdict
from batchsync.core.vendor_calls import Call, CallName, Endpoint, ResponseClass
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    PermanentError,
    UsageError,
)
from batchsync.ports import Clock, Downloads, Empty, Finished, InputTemplate, Status, TargetFacts, TargetOption
from batchsync.vendors import response_parsing
from batchsync.vendors.call_rate import CallRate
from batchsync.vendors.choices import read_choice, read_options
from batchsync.vendors.dialect import (
    Exchange,
    build,
    ensure_ok,
    item_of,
    read,
    read_allocation,
    read_id,
    read_status,
    values,
)
from batchsync.vendors.documents import Documents, exchange_ok
from batchsync.vendors.response_class import may_reauthenticate
from batchsync.vendors.template import fill_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.vendors.auth import Auth
    from batchsync.vendors.http import HttpTransport
    from batchsync.vendors.storage_guard import StorageGuard
    from batchsync.vendors.wire import Request, Response

PlaceholderValues = dict[str, str | int | None]
#: Fields of a signed form that permit an upload.
_SIGNING_FIELD = re.compile(r"signature|credential|token|policy", re.IGNORECASE)


class HttpVendor:
    """Client of a vendor account. Implements `batchsync.ports.Vendor`.

    Its only state is the token and the difference of the clocks.
    """

    def __init__(
        self,
        *,
        rules: VendorRules,
        base_url: str,
        http: HttpTransport,
        auth: Auth,
        clock: Clock,
        storage: StorageGuard,
    ) -> None:
        """Create a client of a vendor with a dialect; see `batchsync.vendors.connect`.

        Raises:
            UsageError: If the vendor spec has no dialect.
        """
        if rules.dialect is None:
            raise UsageError(f"{rules.name}: the vendor spec has no HTTP calls (blocks describe and calls)")
        self._rules = rules
        self._dialect = dialect = rules.dialect
        self._storage = storage
        self._base_url = base_url
        self._http = http
        self._auth = auth
        self._rate = CallRate(rules.policy.account.calls_per_minute, clock)
        self._clock = clock
        self._clock_offset: timedelta | None = None
        self._described_offset: timedelta | None = None
        # A URL of our own stands for the permission to upload, which another process does not have.
        upload = dialect.calls[CallName.UPLOAD]
        self._upload_url = base_url + upload.url if upload.url.startswith("/") else None

    def limit_calls(self, rate: CallRate) -> None:
        """Count calls within the limits of the account, instead of those of the vendor in this process."""
        self._rate = rate

    def describe(self, target: Mapping[str, str], mode: str = "") -> TargetFacts:
        """Check the credentials and look up a target.

        Args:
            target: Values of `target:` by key.
            mode: Mode of the job.

        Returns:
            The target's parameters for allocation, the columns of its input template if the vendor has one, and the
            difference of the clocks if it was not described before.
        """
        rules = self._dialect.describe
        known = values(target=target)
        if rules.check:
            exchange_ok(self.exchange, rules.check, known)
        params = {name: str(item) for name, item in fill_all(rules.params, {**known, "mode": mode}).items()}
        if rules.choice:
            exchange = exchange_ok(self.exchange, rules.choice.call, known)
            wanted = target.get(rules.choice.target, "")
            params[rules.choice.param] = read_choice(exchange, rules.choice, wanted)
        columns = self._columns(values(target=target, params=params))
        return TargetFacts(params=params, columns=columns, clock_offset=self._changed_clock_offset())

    def options(self) -> tuple[TargetOption, ...]:
        """Return what the target of a job may select from the vendor's list.

        Raises:
            PermanentError: If the vendor spec has no call for it.
        """
        choice = self._dialect.describe.choice
        if choice is None:
            raise PermanentError(f"{self._rules.title} has no documented list that a target selects from")
        return read_options(exchange_ok(self.exchange, choice.call, {}), choice)

    def input_template(self, option: TargetOption) -> InputTemplate | None:
        """Return the input template of an option, or None if it has none.

        Raises:
            PermanentError: If the vendor spec has no call for it, or the template quotes a credential.
            AmbiguousOutcomeError: If the response is no table.
        """
        rules = self._dialect.describe
        if rules.template is None or rules.choice is None:
            raise PermanentError(f"{self._rules.title} has no documented call for an input template")
        exchange = self.exchange(rules.template, values(params={rules.choice.param: option.id}))
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            return None
        body = exchange.response.body
        columns = response_parsing.columns(body)
        if columns is None:
            raise AmbiguousOutcomeError(f"{exchange.request_line}: the response is no table with named columns")
        if exchange.redactor.contains_secret(body.decode("utf-8", "replace")):
            raise PermanentError(f"{exchange.request_line}: the template contains a credential of the connection")
        return InputTemplate(document=body, columns=columns)

    def allocate(self, idempotency_key: IdempotencyKey, file: BatchFile, params: Mapping[str, str]) -> Allocation:
        """Return a new allocation for the file, made under an idempotency key.

        Raises:
            AmbiguousOutcomeError: If the outcome is unknown, or the vendor returned a batch that already has its file.
        """
        call = self._dialect.calls.get(CallName.ALLOCATE)
        if call is None:
            return Allocation(id=idempotency_key, url=self._upload_url)
        exchange = exchange_ok(self.exchange, call, values(idempotency_key=idempotency_key, file=file, params=params))
        self._refuse_existing_batch(exchange)
        return read_allocation(exchange, idempotency_key, own_url=self._upload_url, granted=True)

    def find(self, idempotency_key: IdempotencyKey, params: Mapping[str, str]) -> Allocation | None:
        """Return the allocation made under an idempotency key, or None. Without a URL it takes no file.

        Raises:
            PermanentError: If the vendor refuses the request, or cannot find a batch by its idempotency key.
        """
        call = self._dialect.calls.get(CallName.FIND)
        if call is None:
            raise PermanentError(f"{self._rules.title} cannot find a batch by its idempotency key")
        exchange = self.exchange(call, values(idempotency_key=idempotency_key, params=params))
        return (
            None
            if ensure_ok(exchange) is ResponseClass.ABSENT
            else read_allocation(exchange, idempotency_key, own_url=self._upload_url, granted=False)
        )

    def upload(self, allocation: Allocation, file: BatchFile) -> Allocation | None:
        """Upload the whole file, or nothing.

        Returns:
            The allocation to poll by, if the vendor spec reads its id from the response; else None.

        Raises:
            AllocationExpiredError: If the URL has expired or is missing. An earlier request may have stored the file.
        """
        if allocation.url is None and CallName.ALLOCATE in self._dialect.calls:
            raise AllocationExpiredError(f"allocation {allocation.id} has no upload URL any more")
        signed = (value for name, value in allocation.fields.items() if _SIGNING_FIELD.search(name))
        self._http.redactor.add(*signed)
        exchange = self.exchange(self._dialect.calls[CallName.UPLOAD], values(allocation=allocation, file=file), file)
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            raise AllocationExpiredError(exchange.describe())
        return Allocation(id=read_id(exchange, allocation.id)) if "id" in exchange.call.read else None

    def commit(self, allocation: Allocation, file: BatchFile) -> Allocation:
        """Tell the vendor to process the uploaded file.

        Returns:
            The allocation to poll by: with the id of the response, if the vendor spec reads one.
        """
        call = self._dialect.calls[CallName.COMMIT]
        exchange = exchange_ok(self.exchange, call, values(allocation=allocation, file=file))
        return Allocation(id=read_id(exchange, allocation.id))

    def poll(self, allocation: Allocation) -> Status:
        """Return the vendor's status of a batch. A vendor status that the spec does not list means Running.

        A batch that the vendor does not find is lost. It may not be visible yet: the caller polls again before it
        believes that.
        """
        known = values(allocation=allocation)
        exchange = self.exchange(self._dialect.calls[CallName.POLL], known)
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            return Finished(Verdict.LOST, f"HTTP {exchange.response.status}")
        found = item_of(exchange, known)
        if found is None:
            return Finished(Verdict.LOST, "not in the list of batches")
        return read_status(exchange, self._dialect.vendor_statuses, found)

    def collect(self, allocation: Allocation, verdict: Verdict, into: Path) -> Downloads:
        """Download results and row log into a folder, each completely or not at all.

        Args:
            allocation: The allocation of the batch.
            verdict: Verdict of the batch; without a row log, nothing is downloaded.
            into: Existing, empty folder.

        Returns:
            The paths of the downloaded files.
        """
        if verdict not in VERDICTS_WITH_ROW_LOG:
            return Downloads()
        return Documents(self._rules, self.exchange, self._clock).collect(allocation, verdict, into)

    def cancel(self, allocation: Allocation) -> None:
        """Cancel a batch that the vendor has not started.

        Raises:
            PermanentError: If it cannot be cancelled any more, or the vendor spec has no call for it.
        """
        call = self._dialect.calls.get(CallName.CANCEL)
        if call is None:
            raise PermanentError(f"{self._rules.title} has no documented call to cancel a batch")
        exchange_ok(self.exchange, call, values(allocation=allocation))

    def _changed_clock_offset(self) -> timedelta | None:
        """Return the difference of the clocks, unless it was returned before, or could not be measured."""
        now, before = self._clock_offset, self._described_offset
        if now is None or (before is not None and abs(now - before) < response_parsing.CLOCK_TOLERANCE):
            return None
        self._described_offset = now
        return now

    def _columns(self, known: PlaceholderValues) -> tuple[str, ...] | None:
        """Return the columns of the input template; optional, so that a refusal means None."""
        call = self._dialect.describe.template
        if call is None:
            return None
        try:
            exchange = self.exchange(call, known)
            if ensure_ok(exchange) is ResponseClass.OK:
                columns = response_parsing.columns(exchange.response.body)
                return columns and tuple(exchange.redactor.redact(name) for name in columns)
        except PermanentError:
            pass
        except AmbiguousOutcomeError as failure:
            if not failure.foreign:
                raise
        return None

    def _refuse_existing_batch(self, allocated: Exchange) -> None:
        """Raise if an allocation has the status of a batch whose file was uploaded: it was made earlier."""
        pointers = allocated.call.read.get("status")
        status = response_parsing.text(read(allocated), pointers) if pointers else None
        if status is not None and not isinstance(read_status(allocated, self._dialect.vendor_statuses), Empty):
            shown = allocated.one_line(status)
            raise AmbiguousOutcomeError(
                f"{allocated.request_line}: a batch with this reference exists, with status {shown}"
            )

    def exchange(
        self, call: Call, known: PlaceholderValues, file: BatchFile | None = None, into: Path | None = None
    ) -> Exchange:
        """Send a call. On the API, a 401 is retried once with a new token.

        Args:
            call: The call of the vendor spec.
            known: Values of its placeholders by their full name.
            file: The batch file, sent where the call sends a file.
            into: Path to download the body to; None to keep it in the response.

        Returns:
            The exchange, whatever its status.

        Raises:
            PermanentError: If a placeholder has no value, or the URL is not allowed.
        """
        request = build(call, known, self._base_url, file)
        if call.endpoint is Endpoint.STORAGE:
            self._storage.check(request.url, into.name if into else "upload")
        auth_headers: dict[str, str] = {}
        if call.endpoint is Endpoint.API:
            self._rate.wait()
            auth_headers = self._auth.headers(request)
        response = self._send_authenticated(request, auth_headers, into)
        self._measure_clock(call, response)
        if may_reauthenticate(call, response) and auth_headers and self._auth.renew(auth_headers):
            response = self._send_authenticated(request, self._auth.headers(request), into)
            self._measure_clock(call, response)
        redactor, now = self._http.redactor, self._clock.now()
        return Exchange(call=call, request=request, response=response, now=now, redactor=redactor)

    def _measure_clock(self, call: Call, response: Response) -> None:
        """Remember the difference of the clocks that an answer of the API shows."""
        if call.endpoint is not Endpoint.API:
            return
        measured = response_parsing.clock_offset(response.headers, self._clock.now())
        if measured is not None:
            self._clock_offset = self._auth.clock_offset = measured

    def _send_authenticated(self, request: Request, auth_headers: Mapping[str, str], into: Path | None) -> Response:
        """Send a request with authentication headers; download the body to a path if there is one."""
        authenticated = replace(request, headers={**request.headers, **auth_headers})
        self._http.redactor.add_headers(authenticated.headers, auth_headers)
        return self._http.download(authenticated, into) if into else self._http.send(authenticated)
