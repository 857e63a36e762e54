"""The port `lading.ports.Vendor` over HTTP: one class for every vendor that a vendor spec can describe.

It knows no vendor by name; what to ask and what answers mean stand in `VendorRules.dialect`.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from lading.core.batch import VERDICTS_WITH_ROW_LOG, BatchFile, Slot, Ticket, Verdict
from lading.core.vendor_rules import Call, Dialect, Door, Download, Means, VendorRules
from lading.errors import DidNotHappen, EnvironmentProblem, Permanent, SlotGone, Unclear, UsageError
from lading.ports import Clock, Downloads, Empty, Finished, Status, TargetFacts
from lading.vendors import reading
from lading.vendors.auth import Auth
from lading.vendors.dialect import Asked, accept, build, may_renew, read, read_choice, read_slot, read_status, values
from lading.vendors.doors import Doors
from lading.vendors.http import Http, open_http
from lading.vendors.redaction import Redactor
from lading.vendors.template import fill_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.vendors.wire import Answer, Request

Known = dict[str, str | int | None]


def connect(
    rules: VendorRules,
    *,
    base_url: str,
    credentials: Mapping[str, str],
    ca_bundle: str | None,
    clock: Clock,
    user_agent: str,
) -> HttpVendor:
    """Return the vendor behind a connection. Nothing is asked yet.

    Raises:
        UsageError: when the base URL is not one of this vendor's, a credential is missing, or the spec has no dialect.
        EnvironmentProblem: when `ca_bundle` is no file of certificates.
    """
    base = base_url.rstrip("/")
    if rules.dialect is None:
        raise UsageError(f"{rules.name}: the vendor spec does not say how to speak to it")
    missing = [name for name in rules.credentials if not credentials.get(name)]
    if missing:
        raise EnvironmentProblem(
            f"{rules.name}: no value for {', '.join(missing)}", hint="set it where credentials say"
        )
    doors = Doors(base_url=base, api_hosts=rules.api_hosts, storage_hosts=rules.storage_hosts)
    wrong = ""
    try:
        doors.check(base, Door.API)
    except Permanent as refused:
        wrong = refused.reason
    if wrong or "?" in base:
        hosts = ", ".join(rules.api_hosts)
        raise UsageError(f"base_url: {wrong or 'no query belongs there'}", hint=f"hosts of {rules.name}: {hosts}")
    redactor = Redactor(credentials.values(), account=credentials.get(rules.account_credential, ""))
    http = open_http(doors, rules.dialect.limits, clock, user_agent, ca_bundle, redactor)
    auth = Auth(rules.dialect.auth, credentials, http.ask, base_url=base, clock=clock, redactor=redactor)
    return HttpVendor(rules=rules, dialect=rules.dialect, base_url=base, http=http, auth=auth, clock=clock)


class HttpVendor:
    """A vendor that is spoken to in a dialect. It remembers a token and nothing about batches but unanswered polls."""

    def __init__(
        self, *, rules: VendorRules, dialect: Dialect, base_url: str, http: Http, auth: Auth, clock: Clock
    ) -> None:
        """Keep the parts."""
        self._rules = rules
        self._dialect = dialect
        self._base_url = base_url
        self._http = http
        self._auth = auth
        self._clock = clock
        self._unknown: dict[str, int] = {}

    def describe(self, target: Mapping[str, str]) -> TargetFacts:
        """Check the credentials and resolve the target: its params for allocation, and the input columns if offered."""
        rules = self._dialect.describe
        known = values(target=target)
        if rules.check:
            self._answered(rules.check, known)
        params = {name: str(one) for name, one in _filled(rules.params, known).items()}
        if rules.choice:
            asked = self._answered(rules.choice.call, known)
            wanted = target.get(rules.choice.target, "")
            params[rules.choice.param] = read_choice(asked, rules.choice, wanted)
        return TargetFacts(params=params, columns=self._columns(values(target=target, params=params)))

    def allocate(self, ticket: Ticket, file: BatchFile, params: Mapping[str, str]) -> Slot:
        """Ask for a place to put the file, under our ticket.

        Raises:
            Unclear: also when the answer tells of a batch under this ticket that is not empty.
        """
        asked = self._answered(self._dialect.allocate, values(ticket=ticket, file=file, params=params))
        self._refuse_filled(asked)
        return read_slot(asked, ticket, needs_url=True)

    def find(self, ticket: Ticket, params: Mapping[str, str]) -> Slot | None:
        """Say whether an earlier allocation under this ticket arrived. A slot without URL can take no file.

        Raises:
            Permanent: also when this vendor cannot be asked by our ticket.
        """
        if self._dialect.find is None:
            raise Permanent(f"{self._rules.title} cannot be asked for a batch by our ticket")
        asked = self._asked(self._dialect.find, values(ticket=ticket, params=params))
        return None if accept(asked) is Means.ABSENT else read_slot(asked, ticket, needs_url=False)

    def upload(self, slot: Slot, file: BatchFile) -> None:
        """Put the whole file into the slot, or it did not happen.

        Raises:
            SlotGone: when the URL has run out or is no longer known. That an earlier request stored it is possible.
        """
        if slot.url is None:
            raise SlotGone("the slot's upload URL is not known any more")
        asked = self._asked(self._dialect.upload, values(slot=slot, file=file), file)
        if accept(asked) is Means.ABSENT:
            raise SlotGone(asked.told())

    def poll(self, slot: Slot) -> Status:
        """Say how far the vendor is with the file. An unknown word is Running.

        A batch that the vendor does not know is a question to be asked again, a few times (it may not be visible yet),
        and is lost after that.
        """
        asked = self._asked(self._dialect.poll, values(slot=slot))
        if accept(asked) is Means.OK:
            self._unknown.pop(slot.id, None)
            return read_status(asked, self._dialect.words)
        times = self._unknown[slot.id] = self._unknown.get(slot.id, 0) + 1
        if times > self._dialect.lost_after:
            return Finished(Verdict.LOST, f"HTTP {asked.answer.status}")
        raise DidNotHappen(f"{asked.told()} (the vendor may not show it yet)")

    def collect(self, slot: Slot, verdict: Verdict, into: Path) -> Downloads:
        """Fetch results and row errors into the folder, each whole or not at all."""
        if verdict not in VERDICTS_WITH_ROW_LOG:
            return Downloads()
        errors, missing = self._errors(slot, verdict, into)
        return Downloads(results=self._results(slot, into), errors=errors, errors_missing=missing)

    def cancel(self, slot: Slot) -> None:
        """Ask the vendor to cancel a batch that it has not begun.

        Raises:
            Permanent: when it cannot be cancelled any more, or this vendor offers no such thing.
        """
        if self._dialect.cancel is None:
            raise Permanent(f"{self._rules.title} documents no way to cancel a batch")
        self._answered(self._dialect.cancel, values(slot=slot))

    def _columns(self, known: Known) -> tuple[str, ...] | None:
        """Return the input template's columns; the step is optional, so a refusal is an answer."""
        call = self._dialect.describe.template
        if call is None:
            return None
        with contextlib.suppress(Permanent):
            asked = self._asked(call, known)
            if accept(asked) is Means.OK:
                columns = reading.columns(asked.answer.body)
                return columns and tuple(asked.redactor.redact(name) for name in columns)
        return None

    def _results(self, slot: Slot, into: Path) -> Path | None:
        """Return the file of answers; while the vendor names no place for it and counts some, it is not ready."""
        rules = self._dialect.results
        if rules is None:
            return None
        path = self._fetched(rules, slot, into)
        counter = self._dialect.results_counter
        if path is None and not (counter and self._counted(slot, (counter,)) == 0):
            again = self._clock.now() + self._dialect.results_again
            raise DidNotHappen("the vendor says it is done and has no results to download yet", retry_at=again)
        return path

    def _errors(self, slot: Slot, verdict: Verdict, into: Path) -> tuple[Path | None, bool]:
        """Return the file of refused rows, and whether there are refused rows and no file.

        A log that the vendor names and does not give is no silence: it is raised.
        """
        rules = self._dialect.errors
        if rules is None or verdict not in rules.verdicts:
            return None, False
        failed = self._counted(slot, rules.counters) if rules.counters else None
        path, refusal = None, None
        for way in rules.ways:
            try:
                path = self._fetched(way, slot, into)
                refusal = None
            except Permanent as refused:
                refusal = refused.reason
            if path is not None:
                break
        if refusal is not None:
            raise Permanent(refusal)
        # A vendor that says that all went well, and counts no row that did not, has no log to give.
        return path, path is None and (bool(failed) or (not rules.counters and verdict is Verdict.MIXED))

    def _counted(self, slot: Slot, counters: tuple[str, ...]) -> int | None:
        """Return how many rows the vendor counts at these places, or None when it does not say."""
        body = read(self._answered(self._dialect.poll, values(slot=slot)))
        counts = [reading.count(body, pointer) for pointer in counters]
        known = [one for one in counts if one is not None]
        return sum(known) if len(known) == len(counts) or any(known) else None

    def _fetched(self, rules: Download, slot: Slot, into: Path) -> Path | None:
        """Return the downloaded file, or None when the vendor has none. A URL that ran out is asked for once more."""
        gone = ""
        for _ in range(2 if rules.locate else 1):
            known = values(slot=slot)
            if rules.locate:
                located = self._asked(rules.locate, known)
                url = None if accept(located) is Means.ABSENT else reading.text(read(located), rules.locate.read["url"])
                if url is None:
                    self._refuse_older(located)
                    return None
                known["found.url"] = url
            try:
                return self._downloaded(rules.call, known, into / rules.save_as)
            except SlotGone as expired:
                gone = expired.reason
        raise Permanent(gone)

    def _refuse_filled(self, allocated: Asked) -> None:
        """Refuse a slot that is told of with the status of a batch that has its file: it was made before."""
        pointers = allocated.call.read.get("word")
        word = reading.text(read(allocated), pointers) if pointers else None
        if word is not None and not isinstance(read_status(allocated, self._dialect.words), Empty):
            raise Unclear(f"{allocated.where}: a batch with this reference exists, with status {reading.plain(word)}")

    def _refuse_older(self, located: Asked) -> None:
        """Refuse a status that names no document because it is older than the verdict: replicas lag behind."""
        poll = self._dialect.poll
        if located.call.url == poll.url and not isinstance(
            read_status(replace(located, call=poll), self._dialect.words), Finished
        ):
            raise DidNotHappen("the vendor's status went back behind its verdict; it is asked again")

    def _downloaded(self, call: Call, known: Known, path: Path) -> Path | None:
        asked = self._asked(call, known, into=path)
        if accept(asked) is Means.ABSENT or asked.answer.status == HTTPStatus.NO_CONTENT:
            return None
        if not asked.answer.saved:
            raise Permanent(f"{asked.told()}, where a whole document was asked for")
        return path

    def _answered(self, call: Call, known: Known) -> Asked:
        """Return a good answer; anything else is raised."""
        asked = self._asked(call, known)
        if accept(asked) is Means.ABSENT:
            raise Permanent(asked.told())
        return asked

    def _asked(self, call: Call, known: Known, file: BatchFile | None = None, into: Path | None = None) -> Asked:
        """Return the answer to a call, whatever it is. On the API, a 401 is answered once with a new proof."""
        request = build(call, known, self._base_url, file)
        proof: dict[str, str] = {}
        if call.door is Door.API:
            proof = self._auth.headers()
        answer = self._sent(request, proof, into)
        if may_renew(call, answer) and proof and self._auth.renew(proof):
            answer = self._sent(request, self._auth.headers(), into)
        return Asked(call=call, request=request, answer=answer, now=self._clock.now(), redactor=self._http.redactor)

    def _sent(self, request: Request, proof: Mapping[str, str], into: Path | None) -> Answer:
        proven = replace(request, headers={**request.headers, **proof})
        self._http.redactor.add_headers(proven.headers, proof)
        return self._http.download(proven, into) if into else self._http.ask(proven)


def _filled(templates: Mapping[str, str], known: Known) -> dict[str, object]:
    return fill_all(templates, known)
