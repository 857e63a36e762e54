"""Content of a data file of a vendor with the changes of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def merged(content: dict[str, Any], changes: Mapping[str, Any], *, keep_null: bool = False) -> dict[str, Any]:
    """Return content with changes: mappings are merged key by key, and null removes a key; other values are replaced.

    `calls`, a list of calls by name, is merged call by call.

    Args:
        content: Content of a file, or a part of it.
        changes: Changes of it.
        keep_null: Whether null stays, so that the result can be merged into other content.
    """
    result = dict(content)
    for name, change in changes.items():
        present = result.get(name)
        if change is None and not keep_null:
            result.pop(name, None)
        elif isinstance(change, dict):
            base = present if isinstance(present, dict) else {}
            result[name] = merged(base, change, keep_null=keep_null)
        elif name == "calls" and isinstance(present, list) and isinstance(change, list):
            result[name] = _merged_calls(present, change)
        else:
            result[name] = change
    return result


def _merged_calls(calls: list[Any], changes: list[Any]) -> list[Any]:
    """Return calls with changes of those of the same name; further ones are added at the end."""
    by_name = {item.get("call"): item for item in changes if isinstance(item, dict)}
    kept = [merged(item, by_name.pop(item["call"], {})) for item in calls]
    return [*kept, *by_name.values(), *(item for item in changes if not isinstance(item, dict))]
