"""Hashes of a job: of everything that affects a plan, of the record mapping, and of removals.

Schedules, guards and places are not part of them. A changed spec hash invalidates plans; a changed target hash makes
every row a changed row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batchsync.core.job import OnRemovedAnswer
from batchsync.core.mapping import Array, Expression, Literal, Object
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.core.job import Removal, Results, Send, Source
    from batchsync.core.mapping import Node


def spec_hash(*, mapping: str, target: Mapping[str, str], removal: Removal | None, source: Source, send: Send) -> str:
    """Return the hash of everything that affects a plan.

    The path of the source is not part of it. The column of `send: since` is, because the watermark belongs to it.

    Args:
        mapping: Mapping hash of the job.
        target: Target keys.
        removal: Removal of the job; None if it removes nothing.
        source: Source of the job.
        send: Which rows are sent.

    Returns:
        Hexadecimal SHA-256 of canonical JSON.
    """
    return _digest(
        {
            "mapping": mapping,
            "target": dict(target),
            "since": send.since,
            "removal": [removal.mode, _to_json(removal.record)] if removal else None,
            "key": _key(source),
            "source": {
                "format": source.format,
                "delimiter": source.delimiter,
                "encoding": source.encoding,
                "nulls": list(source.nulls),
                "joins": [[join.path, [list(pair) for pair in join.on]] for join in source.joins],
                "duplicates": source.duplicates,
                **_query(source),
                **({"where": source.where.sql} if source.where else {}),
                **_dialect(source),
                **_sheets(source),
            },
        }
    )


def removal_hash(*, removal: Removal | None, results: Results | None, source: Source, paths: Sequence[str]) -> str:
    """Return the hexadecimal SHA-256 of everything that affects which keys are removed, and by which record.

    Args:
        removal: Removal of the job; None if it removes nothing at the target.
        results: Results of the job, whose `on_removed` counts if it removes; None if it has none.
        source: Source of the job.
        paths: Paths of the source and its joins as written, so that another value of a variable is not an edit.
    """
    removes_answers = results is not None and results.on_removed is OnRemovedAnswer.REMOVE
    return _digest(
        {
            **({"answers": True} if removes_answers else {}),
            **_dialect(source),
            **_sheets(source),
            "removal": removal.mapping_hash if removal else None,
            "key": _key(source),
            "paths": list(paths),
            **_query(source),
            "source": [source.job, source.format, source.delimiter, source.encoding, list(source.nulls)],
            "joins": [[list(pair) for pair in join.on] for join in source.joins],
            **({"where": source.where.sql} if source.where else {}),
        }
    )


def _dialect(source: Source) -> dict[str, Any]:
    """Return the CSV dialect if it is not the default, so that hashes of other jobs are those of earlier releases."""
    return {} if source.dialect.is_plain else {"dialect": source.dialect.to_json()}


def _sheets(source: Source) -> dict[str, Any]:
    """Return what is read of workbooks, if that is not the default, for the same reason."""
    sheets = [source.sheet, *(join.sheet for join in source.joins)]
    return {} if all(item.is_default for item in sheets) else {"sheets": [item.to_json() for item in sheets]}


def _query(source: Source) -> dict[str, Any]:
    """Return what is read from elsewhere. Its connection counts by name, as a path does by its variables."""
    joined = [_read(join.source) if join.source else None for join in source.joins]
    since = source.query.since if source.query else None
    return {
        **({_kind(source): _read(source)} if source.query or source.stored else {}),
        **({"read_since": since.column} if since else {}),
        **({"joined": joined} if any(joined) else {}),
    }


def _kind(source: Source) -> str:
    return "stored" if source.stored else "query"


def _read(source: Source) -> list[Any] | None:
    query, stored = source.query, source.stored
    if stored is not None:
        storage = stored.storage.name if stored.storage else ""
        return [storage, "delta" if stored.delta else "path", stored.version]
    return [query.database.name, query.sql, list(query.table)] if query else None


def _key(source: Source) -> Any:
    return {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)


def mapping_hash(*, vendor: str, target: Mapping[str, str], mode: str, record: Object) -> str:
    """Return the hash of everything that affects the record of a row, except how its values are read.

    Args:
        vendor: Name of the vendor.
        target: Target keys that identify the target.
        mode: Mode of the job or of its removal.
        record: The mapping.

    Returns:
        Hexadecimal SHA-256 of canonical JSON.
    """
    return _digest({"vendor": vendor, "target": dict(target), "mode": mode, "record": _to_json(record)})


def target_hash(*, vendor: str, target: Mapping[str, str], mode: str) -> str:
    """Return the hexadecimal SHA-256 of what an accepted record is held by, and what was done with it.

    Args:
        vendor: Name of the vendor.
        target: Target keys that identify the target.
        mode: Mode of the job.
    """
    return _digest({"vendor": vendor, "target": dict(target), "mode": mode})


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256_of(text.encode("ascii"))


def _to_json(node: Node) -> Any:
    """Return a mapping node as JSON that distinguishes the kinds of nodes."""
    if isinstance(node, Literal):
        return {"literal": node.value}
    if isinstance(node, Expression):
        return {"expression": node.sql}
    if isinstance(node, Object):
        # A list, because the order of members is their order in the batch file.
        return {"object": [[name, _to_json(item)] for name, item in node.members]}
    if isinstance(node, Array):
        return {"array": [_to_json(item) for item in node.items]}
    order = {"order_by": [item.sql for item in node.order]} if node.order else {}
    return {"each": _to_json(node.item), **order}
