"""Turns a verb into a request and an answer into its meaning, as the vendor spec says. Sans-I/O: values in, values out.

It knows no vendor by name, and not how a request is sent.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from lading.core.batch import BatchFile, Slot, Ticket, Verdict
from lading.core.vendor_rules import Means
from lading.errors import DidNotHappen, Permanent, SlotGone, Unclear
from lading.ports import Empty, Finished, Running, Status
from lading.vendors import reading
from lading.vendors.doors import redacted
from lading.vendors.redaction import Redactor
from lading.vendors.template import UnknownValueError, fill, fill_all, fill_path
from lading.vendors.wire import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lading.core.vendor_rules import Call, Choice

#: Statuses with which a server says that it did not begin. A gateway says the same of work that was done behind it.
_NOT_BEGUN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: How many names a message lists at most.
_NAMES_MAX = 20
#: The longest id that is kept.
_ID_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request and its answer, with what is needed to speak of them: the moment, and what knows the secrets."""

    call: Call
    request: Request
    answer: Answer
    now: datetime
    redactor: Redactor = field(default_factory=Redactor)

    @property
    def where(self) -> str:
        """Return the request as people may read it."""
        return f"{self.request.method} {redacted(self.redactor.redact(self.request.url))}"

    def shown(self, word: str) -> str:
        """Return a word of the answer as people may read it, at most 80 characters."""
        return reading.plain(word, self.redactor)

    def told(self) -> str:
        """Return the whole answer in one line."""
        status = self.answer.status
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        words = reading.said(self.answer.body, self.redactor)
        head = f"{self.where}: HTTP {status} {phrase}".rstrip()
        return f"{head}: {words}" if words else head


def values(
    *,
    ticket: Ticket | None = None,
    file: BatchFile | None = None,
    slot: Slot | None = None,
    params: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
) -> dict[str, str | int | None]:
    """Return the values of placeholders, by full name."""
    named: dict[str, str | int | None] = {"ticket": ticket}
    if file:
        named |= {
            "file.md5": file.md5,
            "file.md5_base64": base64.b64encode(bytes.fromhex(file.md5)).decode("ascii"),
            "file.size": file.size,
            "file.name": PurePath(file.path).name,
        }
    if slot:
        named |= {"slot.id": slot.id, "slot.url": slot.url}
    named |= {f"params.{name}": value for name, value in (params or {}).items()}
    named |= {f"target.{name}": value for name, value in (target or {}).items()}
    return named


def build(
    call: Call,
    known: Mapping[str, str | int | None],
    base_url: str,
    file: BatchFile | None = None,
) -> Request:
    """Return the request that a call makes with these values.

    Raises:
        Permanent: when the spec wants a value that is not known here.
    """
    try:
        headers = {name: str(fill(one, known) or "") for name, one in call.headers.items()}
        url = base_url + fill_path(call.url, known) if call.url.startswith("/") else str(fill(call.url, known))
        body = None
        if call.json is not None:
            body = json.dumps(fill_all(call.json, known), ensure_ascii=False, separators=(",", ":")).encode()
            headers.setdefault("Content-Type", "application/json")
        elif call.form is not None:
            body = urlencode(fill_all(call.form, known)).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    except UnknownValueError as missing:
        reason = f"the vendor spec needs {{{missing.name}}} for {call.method} {call.url}, and it is not known"
    else:
        sealed = file if call.sends_file else None
        return Request(
            method=call.method,
            url=url,
            door=call.door,
            headers=headers,
            body=body,
            file=sealed.path if sealed else None,
            size=sealed.size if sealed else 0,
        )
    raise Permanent(reason)


def judge(call: Call, answer: Answer) -> Means:
    """Return what an answer means: by the vendor's own table, else by the habits of HTTP.

    For a call with a recorded intent, the habits are stricter. See `_habit_of_intent`.
    """
    body = answer.body.lower()
    for case in call.cases:
        if case.status == answer.status and case.says.lower().encode() in body:
            return case.means
    return _habit_of_intent(answer) if call.intent else _habit(answer.status)


def may_renew(call: Call, answer: Answer) -> bool:
    """Whether a call that was answered with 401 may be sent again with new proof of who we are.

    A call with a recorded intent only if the vendor itself refused it: a gateway may answer 401 after the work.
    """
    return answer.status == HTTPStatus.UNAUTHORIZED and not (call.intent and judge(call, answer) is Means.UNCLEAR)


def accept(asked: Asked) -> Means:
    """Return OK or ABSENT.

    Raises:
        DidNotHappen: surely not done, with the moment that the vendor named.
        Unclear: it may have been done, with the moment that the answer named.
        SlotGone: the signed URL has run out.
        Permanent: refused for good.
    """
    means = judge(asked.call, asked.answer)
    match means:
        case Means.OK | Means.ABSENT:
            return means
        case Means.DID_NOT_HAPPEN:
            raise DidNotHappen(asked.told(), retry_at=reading.retry_at(asked.answer.headers, asked.now))
        case Means.UNCLEAR:
            raise Unclear(asked.told(), retry_at=reading.retry_at(asked.answer.headers, asked.now))
        case Means.EXPIRED:
            raise SlotGone(asked.told())
        case Means.PERMANENT:
            raise Permanent(asked.told() + _advice(asked.answer.status))


def read(asked: Asked) -> Any:
    """Return the JSON document of an answer that must have one.

    Raises:
        Unclear: when it has none.
    """
    try:
        return reading.document(asked.answer.body)
    except reading.UnreadableError:
        pass
    raise Unclear(f"{asked.where}: HTTP {asked.answer.status}, and the answer is no JSON that lading can read")


def read_slot(asked: Asked, ticket: Ticket, *, needs_url: bool) -> Slot:
    """Return the slot that an answer describes. Where the spec reads no id, the vendor knows it by our ticket.

    `until` is the earlier of what the answer says and what the signed URL itself says.

    Raises:
        Unclear: when the answer lacks the id or the URL that it must have.
    """
    body = read(asked)
    pointers = asked.call.read
    number = reading.text(body, pointers["id"]) if "id" in pointers else ticket
    url = reading.text(body, pointers["url"])
    if number is None or len(number) > _ID_MAX or asked.redactor.repeats_proof(number):
        raise Unclear(f"{asked.where}: HTTP {asked.answer.status}, and the answer holds no id")
    if needs_url and url is None:
        raise Unclear(f"{asked.where}: HTTP {asked.answer.status}, and the answer holds no upload URL")
    ends = (reading.moment(reading.text(body, pointers.get("until", ()))), reading.signed_until(url))
    return Slot(id=number, url=url, until=min((one for one in ends if one), default=None))


def read_status(asked: Asked, words: Mapping[str, str]) -> Status:
    """Return how far the vendor is. A word that the spec does not know is Running.

    Raises:
        Unclear: when the answer holds no word.
    """
    word = reading.text(read(asked), asked.call.read["word"])
    if word is None:
        raise Unclear(f"{asked.where}: HTTP {asked.answer.status}, and the answer holds no status")
    shown = asked.shown(word)
    match words.get(word.strip().casefold(), "running"):
        case "running":
            return Running(shown)
        case "empty":
            return Empty(shown)
        case verdict:
            return Finished(Verdict(verdict), shown)


def read_choice(asked: Asked, choice: Choice, wanted: str) -> str:
    """Return the id of what `target` names, by id or by name in any letter case.

    Raises:
        Permanent: when nothing has that id or name; the reason lists what there is.
        Unclear: when the answer holds no list.
    """
    listed = reading.items(read(asked))
    if listed is None:
        raise Unclear(f"{asked.where}: HTTP {asked.answer.status}, and the answer holds no list")
    found: list[str] = []
    shown: list[str] = []
    for one in listed:
        number = reading.text(one, choice.ids)
        names = [name for name in (reading.text(one, (pointer,)) for pointer in choice.names) if name]
        if number is None or asked.redactor.repeats_proof(number):
            continue
        if wanted.strip().casefold() in {word.strip().casefold() for word in (number, *names)}:
            found.append(number)
        shown.append(asked.shown(names[0] if names else number))
    if len(set(found)) == 1:
        return found[0]
    if found:
        raise Permanent(f"{choice.target}: several are called {wanted!r}; give the id: {', '.join(sorted(set(found)))}")
    there = ", ".join(sorted(shown)[:_NAMES_MAX]) or "none"
    raise Permanent(f"{choice.target}: the vendor has none called {wanted!r}. It offers: {there}")


def _habit(status: int) -> Means:
    """Return what a status means for every vendor."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Means.OK
    if status in _NOT_BEGUN:
        return Means.DID_NOT_HAPPEN
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Means.UNCLEAR
    return Means.PERMANENT


def _habit_of_intent(answer: Answer) -> Means:
    """Return what an answer means for a call with a recorded intent, where the vendor spec does not say it.

    A 2xx is good unless it is a page for people, as a portal gives. Any other status leaves the outcome unknown, 408,
    429, 503 and redirects among them: a gateway that lost the connection behind it answers so after the work was done.
    Only a 4xx in the form of an API or a storage is a refusal, since then the vendor itself read the request.
    """
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Means.UNCLEAR if reading.is_page(answer.headers, answer.body) else Means.OK
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_BEGUN:
        return Means.PERMANENT if reading.is_refusal(answer.body) else Means.UNCLEAR
    return Means.UNCLEAR


def _advice(status: int) -> str:
    """Return what to look at, where a status says it."""
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return " (check the connection's credentials and that they belong to this base_url)"
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return " (redirects are not followed)"
        case _:
            return ""
