"""Reference of the functions of expressions as Markdown, for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Imported for their functions, which register themselves.
from batchsync.data.sql import aggregates, number_functions, pattern_functions, text_functions, time_functions
from batchsync.data.sql.catalog import FUNCTIONS, SYNONYMS, synonyms_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.data.sql.catalog import Function

_GROUPS = ("Conditions", "Text", "Patterns", "Numbers", "Dates and times", "JSON", "Hashes", "Lists")
#: Longest result that is shown in full; hashes are longer.
_RESULT_MAX = 40
_MODULES = (number_functions, pattern_functions, text_functions, time_functions)


def functions() -> tuple[Function, ...]:
    """Return all functions, by the headings of the reference."""
    return tuple(item for group in _GROUPS for item in FUNCTIONS.values() if item.group == group)


def names() -> frozenset[str]:
    """Return the names of all functions, with their other names."""
    return frozenset({*FUNCTIONS, *SYNONYMS})


def markdown(*, ours: bool) -> str:
    """Return tables of functions.

    Args:
        ours: Whether those that PostgreSQL lacks are listed, or those that it has.

    Returns:
        A table for each group that has any.
    """
    return "\n".join(_tables(ours=ours)).strip()


def aggregate_table() -> str:
    """Return a table of the functions that combine the rows of a key."""
    lines = ["| function | result |", "| --- | --- |"]
    for item in aggregates.FUNCTIONS.values():
        others = f" (also {', '.join(f'`{name}`' for name in item.also)})" if item.also else ""
        ours = " PostgreSQL has no such function." if item.is_ours else ""
        lines.append(f"| {_cell(f'`{item.usage}`{others}')} | {_cell(item.summary + ours)} |")
    return "\n".join(lines)


def _tables(*, ours: bool) -> Iterator[str]:
    for group in _GROUPS:
        listed = [item for item in functions() if item.group == group and item.is_ours is ours]
        if listed:
            yield f"\n**{group}**\n"
            yield "| function | result | example |"
            yield "| --- | --- | --- |"
            yield from (_line(item) for item in listed)


def _line(item: Function) -> str:
    others = ", ".join(f"`{name}`" for name in synonyms_of(item.name))
    usage = f"`{item.usage}`" + (f" (also {others})" if others else "")
    result = item.result if len(item.result) <= _RESULT_MAX else item.result[:32] + "..."
    return f"| {_cell(usage)} | {_cell(item.summary)} | {_cell(f'`{item.example}` → `{result}`')} |"


def _cell(text: str) -> str:
    """Return text without what would end a cell."""
    return text.replace("|", "\\|")
