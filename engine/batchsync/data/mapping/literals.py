"""Literals of a record that were probably meant as expressions: a leading `=` was forgotten."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.core.expression_text import AGGREGATES
from batchsync.data.mapping.expressions import needs_no_quotes, problem, quote_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.core.mapping import Literal
    from batchsync.errors import Problem

_IS_QUOTED = re.compile(r'".*"', re.DOTALL)
_CALL = re.compile(r"\s*([a-z_]\w*)\(.*\)\s*(?:::\s*\w+\s*)?", re.IGNORECASE | re.DOTALL)
_CASE = re.compile(r"\s*case\s.*\bwhen\s.*\bthen\s.*\bend\s*", re.IGNORECASE | re.DOTALL)
_CONCATENATION = re.compile(r"""[\w"')]\s*\|\|\s*[\w"'(]""")
#: Names of calls that are no functions of the reference: syntax, and functions over several rows.
_OTHER_CALLS = frozenset({"cast", "try_cast", "extract", "position"}) | AGGREGATES


def mistaken_literal(literal: Literal, path: str, columns: Collection[str]) -> Problem | None:
    """Return the problem of a text that names a column or looks like an expression; None if it does not.

    Args:
        literal: The literal; one that is explicit (`== text`) is meant as it is written.
        path: Path of the member, for the message.
        columns: The columns of the source.

    Returns:
        The problem with both ways to write it.
    """
    value = literal.value
    if literal.explicit or not isinstance(value, str):
        return None
    unquoted = value[1:-1].replace('""', '"') if _IS_QUOTED.fullmatch(value) else value
    column = next((name for name in (value, unquoted) if name in columns), None)
    if column is not None:
        name = column if needs_no_quotes(column) else quote_name(column)
        message = f"{path}: {value!r} is the name of a column, but is written as a constant string"
        hint = f"Write ={name} for the value of the column, or == {value} for the string."
        return problem("literal_names_column", message, literal.place, hint)
    if _looks_like_expression(value):
        message = f"{path}: {value!r} looks like an expression, but is written as a constant string"
        hint = f"Write ={value.strip()} for its value, or == {value} for the string."
        return problem("literal_looks_like_expression", message, literal.place, hint)
    return None


def _looks_like_expression(value: str) -> bool:
    """Return whether a text is a call of a known function, a CASE, or joins parts with `||`."""
    if _CASE.fullmatch(value) or _CONCATENATION.search(value):
        return True
    call = _CALL.fullmatch(value)
    if call is None:
        return False
    # Few literals look like a call, and the import of all functions takes longer than many commands.
    from batchsync.data.sql.reference import names  # noqa: PLC0415 - see above

    return call[1].lower() in _OTHER_CALLS or call[1].lower() in names()
