"""Lists of a vendor that a key of a job's target selects from, such as its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import AmbiguousOutcomeError, PermanentError
from batchsync.ports import TargetOption
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.vendor_calls import Choice
    from batchsync.vendors.dialect import Exchange

#: Maximum number of names that a message lists.
_NAMES_MAX = 20


def read_options(exchange: Exchange, choice: Choice) -> tuple[TargetOption, ...]:
    """Return the items of a list that have an id, each with its first name and its description, redacted.

    Args:
        exchange: The exchange of the list call.
        choice: Where ids, names and descriptions are in an item.

    Raises:
        AmbiguousOutcomeError: If the response contains no list.
    """
    return tuple(
        TargetOption(
            id=item_id,
            name=exchange.one_line(names[0] if names else ""),
            description=response_parsing.shown_text(
                response_parsing.text(item, choice.descriptions) or "", exchange.redactor
            ),
        )
        for item, item_id, names in _items(exchange, choice)
    )


def read_choice(exchange: Exchange, choice: Choice, wanted: str) -> str:
    """Return the id of the item that the job's target selects from a list.

    Args:
        exchange: The exchange of the list call.
        choice: Where ids and names are in an item, and which target key selects.
        wanted: Id or name of the item, in any letter case.

    Raises:
        PermanentError: If no item has that id or name (the message lists those there are), or several have it.
        AmbiguousOutcomeError: If the response contains no list.
    """
    found: list[str] = []
    shown: list[str] = []
    for _, item_id, names in _items(exchange, choice):
        if wanted.strip().casefold() in {text.strip().casefold() for text in (item_id, *names)}:
            found.append(item_id)
        shown.append(exchange.one_line(names[0] if names else item_id))
    if len(set(found)) == 1:
        return found[0]
    if found:
        raise PermanentError(f"{choice.target}: {wanted!r} is ambiguous; use an id: {', '.join(sorted(set(found)))}")
    available = ", ".join(sorted(shown)[:_NAMES_MAX]) or "none"
    raise PermanentError(f"{choice.target}: the vendor has no {wanted!r}. Available: {available}")


def _items(exchange: Exchange, choice: Choice) -> Iterator[tuple[object, str, list[str]]]:
    """Yield the items of a list that have an id, with the id and the names; raise if the response contains no list."""
    listed = response_parsing.find_list(read(exchange))
    if listed is None:
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no list"
        )
    for item in listed:
        item_id = response_parsing.text(item, choice.ids)
        names = [name for name in (response_parsing.text(item, (pointer,)) for pointer in choice.names) if name]
        if item_id is not None and not exchange.redactor.contains_secret(item_id):
            yield item, item_id, names
