"""Validation of the former names of jobs and connections: each belongs to one entry, and is not in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.spec.interpolate import Typed
    from batchsync.spec.problems import Problems


def check_former_names(kind: str, entries: TypedMap, problems: Problems) -> None:
    """Report former names that are still declared, or that two entries claim.

    Args:
        kind: `job` or `connection`, for messages.
        entries: The block whose keys are the present names.
        problems: Receives the problems.
    """
    present = {entry.key for entry in entries.entries}
    owners: dict[str, str] = {}
    for entry in entries.entries:
        written = entry.value.get("renamed_from") if isinstance(entry.value, TypedMap) else None
        for name, at in _names(written):
            if name in present:
                problems.add(
                    "renamed_from",
                    at,
                    f"{kind} {quoted(name)} is still declared, so that {quoted(entry.key)} cannot take it over",
                    "a former name that no other entry has",
                    f"remove {kind} {quoted(name)}, or this name from renamed_from",
                )
            elif owners.setdefault(name, entry.key) != entry.key:
                problems.add(
                    "renamed_from",
                    at,
                    f"{kind} {quoted(owners[name])} is also renamed from {quoted(name)}",
                    f"one {kind} with this former name",
                )


def _names(written: Typed | None) -> Iterator[tuple[str, int]]:
    """Yield the former names as written, each with its place."""
    for item in written.items if isinstance(written, TypedSeq) else (written,):
        if isinstance(item, Value) and isinstance(item.value, str):
            yield item.value, item.start
