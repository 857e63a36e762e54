"""What a vendor's folder assumes, and what it does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchsync.core.policy import OnUnknownOutcome
from batchsync.core.vendor_calls import CallName, ResponseClass
from batchsync.core.vendor_exchange import Assumption, Unstated
from batchsync.core.vendor_rules import DefaultOutcome, Sends
from batchsync.spec.record_spec import read_document
from batchsync.spec.vendor_placeholders import placeholders_of
from batchsync.spec.vendor_problems import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.resources.abc import Traversable

    from batchsync.spec.exchange_model import FactModel
    from batchsync.spec.vendor_call_models import BatchCallModel
    from batchsync.spec.vendor_model import VendorModel

_ASSUMED = re.compile(r"\bassum(?:ed|ption)\b", re.IGNORECASE)

Path = tuple[int | str, ...]


def assumptions_in(file: Traversable) -> Iterator[Assumption]:
    """Yield each `source` of a data file that says "assumed", with the path of what it is the source of.

    Args:
        file: A `vendor.yaml`, a record schema or an exchange.
    """
    for path, shown, text in _sources(read_document(file), (), ()):
        if _ASSUMED.search(text):
            line, column = place_of(file, (*path, "source"))
            at = ".".join(shown) or "the file"
            yield Assumption(file=str(file), line=line, column=column, at=at, text=text)


def assumed_facts(file: Traversable, facts: Sequence[FactModel]) -> Iterator[Assumption]:
    """Yield the facts that are assumed.

    Args:
        file: The `facts.yaml`.
        facts: Its facts.
    """
    for number, fact in enumerate(facts):
        if fact.sure == "assumed":
            line, column = place_of(file, ("facts", number))
            yield Assumption(file=str(file), line=line, column=column, at=fact.id, text=fact.says)


def _sources(node: Any, path: Path, shown: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...], str]]:
    """Yield path, path for people, and source of each mapping that has one, in the order of the document.

    The path for people has the name of a call about a batch instead of its number.
    """
    if isinstance(node, Mapping):
        if isinstance(node.get("source"), str):
            yield path, shown, str(node["source"])
        for key, child in node.items():
            yield from _sources(child, (*path, str(key)), (*shown, str(key)))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            name = child.get("call") if isinstance(child, Mapping) else None
            yield from _sources(child, (*path, number), (*shown, name if isinstance(name, str) else str(number)))


def unstated_of(model: VendorModel, shown: frozenset[str], *, has_facts: bool) -> Iterator[Unstated]:
    """Yield what a vendor's folder does not say, each with what follows from it.

    Args:
        model: The vendor spec.
        shown: Paths of the calls that exchanges show.
        has_facts: Whether there is a `facts.yaml`.
    """
    calls = {item.call: item for item in model.calls}
    for found in (_of_connection(model), _of_calls(model, calls), _of_rows(model), _of_answers(model, calls)):
        for at, missing, effect in found:
            yield Unstated(at=at, missing=missing, effect=effect)
    if hidden := [name for name in calls if name not in shown]:
        listed = ", ".join(hidden)
        yield Unstated(
            at="exchanges", missing=f"an exchange of {listed}", effect="nothing shows how they are understood"
        )
    if not has_facts:
        yield Unstated(at="facts.yaml", missing="facts", effect="nothing lists what is documented and what is assumed")


def _of_connection(model: VendorModel) -> Iterator[tuple[str, str, str]]:
    connection, auth = model.connection, model.connection.auth
    if connection.base_url is None:
        yield "connection.base_url", "a base URL for every account", "each connection has to name its own"
    if auth is not None and auth.token is not None and "seconds" not in auth.token.read:
        yield "connection.auth.token.read", "how long a token is valid", f"it is renewed as if after {auth.lifetime}"
    if model.describe is None or model.describe.check is None:
        yield "describe.check", "a call without side effects", "credentials are first tried by a delivery"


def _of_calls(model: VendorModel, calls: Mapping[CallName, BatchCallModel]) -> Iterator[tuple[str, str, str]]:
    policy, upload = model.policy, calls.get(CallName.UPLOAD)
    if CallName.CANCEL not in calls:
        yield "calls", "a cancel call", "`batchsync cancel` cannot withdraw a batch that the vendor has"
    if CallName.ALLOCATE in calls and CallName.FIND not in calls:
        effect = {
            OnUnknownOutcome.STOP: "after a lost answer a person decides",
            OnUnknownOutcome.TAKE_ANOTHER: "after a lost answer another allocation is made, and one may remain empty",
        }.get(policy.on_unknown_allocation, "after a lost answer nothing can be asked")
        yield "calls", "a find call", effect
    if upload is not None and "allocation.url" in placeholders_of(upload.url):
        source = calls.get(CallName.ALLOCATE)
        if source is not None and "expires_at" not in source.read:
            yield "calls.allocate.read", "when the upload URL expires", "only the time in a signed URL is known"
        if not any(item.means is ResponseClass.EXPIRED for item in upload.responses):
            yield "calls.upload.responses", "how an expired URL is answered", "such an answer is an ordinary refusal"
    if policy.on_unknown_upload is OnUnknownOutcome.STOP:
        yield "policy.on_unknown_upload", "how to find a file whose upload had no answer", "a person decides then"
    if CallName.COMMIT in calls and policy.on_unknown_commit is OnUnknownOutcome.STOP:
        yield "policy.on_unknown_commit", "how to find a commit that had no answer", "a person decides then"


def _of_answers(model: VendorModel, calls: Mapping[CallName, BatchCallModel]) -> Iterator[tuple[str, str, str]]:
    rules = [rule for call in calls.values() for rule in call.responses]
    if not any(rule.means is ResponseClass.NOT_APPLIED for rule in rules):
        effect = "after 429 and 5xx the vendor is asked before a request is repeated"
        yield "calls.responses", "an answer that proves that a request was not applied", effect
    poll = calls.get(CallName.POLL)
    if (
        poll is not None
        and poll.item is None
        and not any(rule.means is ResponseClass.ABSENT for rule in poll.responses)
    ):
        yield "calls.poll.responses", "how an unknown batch is answered", "such an answer is an ordinary refusal"
    meanings = set(model.statuses.values())
    for meaning, missing in (("refused", "a status of a refused file"), ("cancelled", "a status of a cancelled batch")):
        if meaning not in meanings:
            yield "statuses", missing, "such a status would count as running until the deadline"


def _of_rows(model: VendorModel) -> Iterator[tuple[str, str, str]]:
    file, log = model.file, model.row_log
    if file.bytes_max is None and file.rows_max is None:
        yield "file", "a limit of batch files (bytes_max, rows_max)", "all changes of a run go into one file"
    if model.errors is None:
        effect = "all rows of a processed batch count as accepted"
        if log.default_outcome is DefaultOutcome.UNKNOWN:
            effect = "only results tell which rows were accepted"
        yield "errors", "where rejected rows are listed", effect
    elif not model.errors.counters:
        yield "errors.counters", "how many rows were rejected", "an incomplete row log is not noticed"
    if not log.errors.retry_codes:
        yield "row_log.errors.retry_codes", "errors after which a row may be sent again", "no rejected row is repeated"
    sends = set(model.modes.sends.values())
    if Sends.RECORDS in sends and Sends.REMOVALS not in sends:
        yield "modes.sends", "a mode that removes", "what leaves the source stays at the vendor"
