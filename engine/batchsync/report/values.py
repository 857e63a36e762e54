"""Records for people: each member by its path, with its value as it may be shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from batchsync.report.masks import Mask

#: Characters of a value that are shown.
_SHOWN = 120


def masked_record(text: str | None, mask: Mask, constants: Collection[str] = ()) -> object:
    """Return a record with its values as they may be shown; members that are constants are no values of rows.

    Args:
        text: The record as JSON; None for none.
        mask: What is masked.
        constants: Paths of members that are constants.
    """
    if text is None:
        return None

    def masked(value: object, path: str) -> object:
        if isinstance(value, dict):
            return {name: masked(item, f"{path}.{name}" if path else name) for name, item in value.items()}
        if isinstance(value, list):
            return [masked(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value if is_below(path, constants) else mask.value(value)

    return masked(json.loads(text), "")


def members(record: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the members of a record by path, as in `identifiers[0].id`."""
    if isinstance(record, dict) and (record or not path):
        for name, item in record.items():
            yield from members(item, f"{path}.{name}" if path else name)
    elif isinstance(record, list) and record:
        for index, item in enumerate(record):
            yield from members(item, f"{path}[{index}]")
    else:
        yield path, record


def is_below(path: str, above: Collection[str]) -> bool:
    """Return whether a path is one of some members, or inside one."""
    return path in above or any(path.startswith((f"{item}.", f"{item}[")) for item in above)


def value_text(value: object, escape: Callable[[str], str]) -> str:
    """Return a value for people: texts as they are or as they were masked, other values as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}... ({len(text):,} characters)"
    return escape(text)
