"""Find literals of a record that equal a column's name, where a leading `=` was probably forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.mapping import Array, Each, Literal, Object
from lading.data.expressions import in_quotes, is_plain, problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lading.core.mapping import Node
    from lading.errors import Problem


def literals_that_name_columns(record: Object, columns: Collection[str]) -> list[Problem]:
    """Return a problem for each literal that is the name of a column, as it stands or in double quotes.

    Literals written with `==` or taken from the environment are left alone.

    Args:
        record: A record as written in the job.
        columns: The columns of the source with those of its joins, in any order.
    """
    found = []
    for path, literal in _literals(record, ""):
        value = literal.value
        if literal.explicit or not isinstance(value, str):
            continue
        column = next((one for one in (value, _unquoted(value)) if one in columns), None)
        if column is not None:
            wanted = column if is_plain(column) else in_quotes(column)
            message = f"{path}: {value!r} is the name of a column, and stands here as a text that each record gets"
            hint = f"Write ={wanted} for the value of the column, or == {value} for the text."
            found.append(problem("literal_names_column", message, literal.place, hint))
    return found


def _literals(node: Node, path: str) -> Iterator[tuple[str, Literal]]:
    """Yield the literals of a part of a record with their paths."""
    match node:
        case Literal():
            yield path, node
        case Object(members):
            for name, one in members:
                yield from _literals(one, f"{path}.{name}" if path else name)
        case Array(items=(Each(item),)):
            yield from _literals(item, f"{path}[]")
        case Array(items):
            for number, one in enumerate(items):
                yield from _literals(one, f"{path}[{number}]")
        case _:
            return


def _unquoted(text: str) -> str:
    """Return the name in a text that is a whole quoted name; else the text."""
    inner = text[1:-1]
    return inner.replace('""', '"') if len(text) > len(inner) + 1 and text[0] == text[-1] == '"' else text
