"""Compile `since:` of a source, and check that the job may leave out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.job import Send
from batchsync.core.mapping import Array, Each, Object
from batchsync.core.query import KINDS, SINCE_KINDS, Since
from batchsync.core.vendor_rules import Sends
from batchsync.spec.interpolate import TypedMap
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.core.mapping import Node
    from batchsync.core.query import Database
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models import JobModel
    from batchsync.spec.models_source import SourceModel
    from batchsync.spec.problems import Problems

_ALL_ROWS = "no since: every run reads all rows then"


def compile_since(model: SourceModel, node: TypedMap, database: Database | None, problems: Problems) -> Since | None:
    """Compile `since:` of a source block.

    Args:
        model: The validated block.
        node: The same block with places.
        database: The database that the source reads; None if it reads something else.
        problems: Receives the problems.

    Returns:
        How new rows are read; None if the block has none, or after reporting a problem.
    """
    if model.since is None:
        return None
    if database is None or database.kind not in SINCE_KINDS:
        what = f"a {KINDS[database.kind]} database" if database is not None else "a source that is no database"
        kinds = ", ".join(KINDS[kind] for kind in KINDS if kind in SINCE_KINDS)
        expected = f"since only with {kinds}; elsewhere send: {{since: {model.since.column}}}"
        problems.add("since", _at(node, "since"), f'"since" with {what}, of which all rows are read', expected)
        return None
    return Since(column=model.since.column, lag=model.since.lag, full_every=model.since.full_every)


def compile_send(model: JobModel) -> Send:
    """Return which rows are sent; with `since` in the source, by its column.

    Args:
        model: The validated job.
    """
    if model.source.since is not None:
        return Send(rows="since", since=model.source.since.column)
    return Send(rows=model.send) if isinstance(model.send, str) else Send(rows="since", since=model.send.since)


def check_since(model: JobModel, node: TypedMap, sends: Sends | None, record: Node | None, problems: Problems) -> None:
    """Report what a job with `since` in its source cannot do with a part of the rows.

    Removals are reported where they are compiled.

    Args:
        model: The validated job.
        node: The same block with places.
        sends: What the mode sends; None if it is unknown.
        record: The mapping; None if it is invalid.
        problems: Receives the problems.
    """
    since = model.source.since
    if since is None:
        return
    add, at = problems.add, _at(node.get("source"), "since")
    if sends is Sends.REMOVALS:
        add("since", at, f'"since" in a job of mode {quoted(model.mode)}, which removes', _ALL_ROWS)
    if record is not None and _has_each(record):
        add("since", at, '"since" in a job with each:, whose records need all rows of their key', _ALL_ROWS)
    duplicates = model.source.duplicates
    if duplicates != "fail" and getattr(duplicates, "by", None) != since.column:
        expected = f"duplicates: {{by: {since.column}}} in the source, or no duplicates"
        add("since", at, '"since" with duplicates, of which the one that is used may not be read', expected)
    sent_by = getattr(model.send, "since", None)
    if model.send == "all" or (sent_by is not None and sent_by != since.column):
        message = f'"send" with a source that is read since {quoted(since.column)}'
        add("since", _at(node, "send"), message, "no send: rows are sent by the same column")


def _has_each(node: Node) -> bool:
    """Return whether a mapping collects the rows of a key."""
    if isinstance(node, Object):
        return any(_has_each(item) for _, item in node.members)
    return isinstance(node, Each) or (isinstance(node, Array) and any(map(_has_each, node.items)))


def _at(node: Typed | None, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start if node is not None else 0
