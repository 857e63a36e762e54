"""Find literals of a record that equal a column's name, where a leading `=` was probably forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.mapping import Array, Each, Literal, Object
from batchsync.data.mapping.expressions import needs_no_quotes, problem, quote_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from batchsync.core.mapping import Node
    from batchsync.errors import Problem


def literals_that_name_columns(record: Object, columns: Collection[str]) -> list[Problem]:
    """Return a problem for each literal that is the name of a column, with or without double quotes.

    Literals written with `==` or taken from the environment are accepted.

    Args:
        record: A record as written in the job.
        columns: The columns of the source with those of its joins, in any order.

    Returns:
        The problems.
    """
    problems = []
    for path, literal in _literals(record, ""):
        value = literal.value
        if literal.explicit or not isinstance(value, str):
            continue
        column = next((item for item in (value, _unquoted(value)) if item in columns), None)
        if column is not None:
            name = column if needs_no_quotes(column) else quote_name(column)
            message = f"{path}: {value!r} is the name of a column, but is written as a constant string"
            hint = f"Write ={name} for the value of the column, or == {value} for the string."
            problems.append(problem("literal_names_column", message, literal.place, hint))
    return problems


def _literals(node: Node, path: str) -> Iterator[tuple[str, Literal]]:
    """Yield the literals of a node of a record with their paths."""
    match node:
        case Literal():
            yield path, node
        case Object(members):
            for name, child in members:
                yield from _literals(child, f"{path}.{name}" if path else name)
        case Array(items=(Each(item),)):
            yield from _literals(item, f"{path}[]")
        case Array(items):
            for number, child in enumerate(items):
                yield from _literals(child, f"{path}[{number}]")
        case _:
            return


def _unquoted(text: str) -> str:
    """Return the name in a string that is a quoted name as a whole; else the string."""
    inner = text[1:-1]
    return inner.replace('""', '"') if len(text) > len(inner) + 1 and text[0] == text[-1] == '"' else text
