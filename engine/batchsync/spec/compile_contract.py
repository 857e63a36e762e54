"""Compile `freshness:`, `columns:` and `on_breach:` of a source into a `Contract`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.core.contract import ColumnRule, Contract, Freshness, OnBreach
from batchsync.core.guards import Limit
from batchsync.spec.field_types import PREFIX
from batchsync.spec.interpolate import TypedMap
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.spec.models_source import ColumnModel, SourceModel
    from batchsync.spec.problems import Problems

#: Control characters other than the white space that the header of a CSV file may have in quotes.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RULE = "not_null: true, or max_null: 1%"


def file_columns(model: SourceModel) -> tuple[str, ...] | None:
    """Return the columns of a CSV file without header; None if `columns` is not written, or only has rules."""
    if isinstance(model.columns, dict):
        return tuple(model.columns) if model.header is False else None
    return model.columns


def compile_contract(model: SourceModel, node: TypedMap, problems: Problems) -> Contract | None:
    """Compile the contract of a source block.

    Args:
        model: The validated block.
        node: The same block with places.
        problems: Receives the problems.

    Returns:
        The contract; None if the block has none.
    """
    fresh, place = None, problems.source.place
    if model.freshness is not None:
        block = node.get("freshness")
        column = block.get("column") if isinstance(block, TypedMap) else None
        at = column.start if column is not None else node.start
        fresh = Freshness(column=model.freshness.column, max_age=model.freshness.max_age, place=place(at))
    written = node.get("columns")
    rules = []
    if isinstance(model.columns, dict) and isinstance(written, TypedMap):
        for entry in written.entries:
            column_model = model.columns[entry.key]
            _check_name(entry.key, entry.start, problems)
            limit = _limit(column_model, entry.key, entry.start, problems, required=model.header is not False)
            if limit is not None:
                rules.append(ColumnRule(column=entry.key, max_null=limit, place=place(entry.start)))
    if fresh is None and not rules:
        on_breach = node.get("on_breach")
        if on_breach is not None and not isinstance(written, TypedMap):
            message = '"on_breach" without freshness or rules for columns'
            expected = "freshness: {column: updated_at, max_age: 26h}, or columns: {email: {not_null: true}}"
            problems.add("source", on_breach.start, message, expected)
        return None
    return Contract(freshness=fresh, columns=tuple(rules), on_breach=OnBreach(model.on_breach or "hold"))


def _limit(model: ColumnModel, name: str, at: int, problems: Problems, *, required: bool) -> Limit | None:
    """Return the limit of the rows without a value in a column; None if it has no rule."""
    if model.not_null and model.max_null is not None:
        problems.add("source", at, f"{quoted(name)} has both not_null and max_null", f"either {_RULE}")
    elif model.not_null:
        return Limit(count=0)
    elif model.max_null is None and required:
        problems.add("source", at, f"{quoted(name)} has no rule", _RULE)
    return model.max_null


def _check_name(name: str, at: int, problems: Problems) -> None:
    """Report a name that no column can have."""
    if not name or _CONTROL.search(name):
        problems.add("value", at, '"columns": empty name, or control character in a name', "the name of a column")
    elif name.startswith(PREFIX):
        problems.add("value", at, f'"columns": column names may not begin with {PREFIX}', "another name")
