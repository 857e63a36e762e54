"""The hashes of what shapes a run, a record, and removals. They do not know schedules, guards or places.

An edit that changes the first makes another plan; one that changes the second, too, makes every row another one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lading.core.mapping import Array, Expression, Literal, Object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.core.job import Removal, Send, Source
    from lading.core.mapping import Node


def spec_hash(*, mapping: str, target: Mapping[str, str], removal: Removal | None, source: Source, send: Send) -> str:
    """Return the hex SHA-256 of a canonical JSON of what shapes a run; `mapping` is the mapping's own hash.

    Where the source lies is not part of it. The column of `send: since` is: its mark says nothing of another column.
    """
    return _digest(
        {
            "mapping": mapping,
            "target": dict(target),
            "since": send.since,
            "removal": [removal.mode, _shown(removal.record)] if removal else None,
            "key": _key(source),
            "source": {
                "format": source.format,
                "delimiter": source.delimiter,
                "encoding": source.encoding,
                "nulls": list(source.nulls),
                "joins": [[one.path, [list(pair) for pair in one.on]] for one in source.joins],
                "duplicates": source.duplicates,
            },
        }
    )


def removal_hash(*, removal: Removal | None, source: Source, paths: Sequence[str]) -> str:
    """Return the hex SHA-256 of what decides which keys are removed, and by which record.

    Args:
        removal: The removal of the job; None where it removes nothing.
        source: The source of the job.
        paths: The paths of the source and of its joins as they are written: another value of a variable is no edit.
    """
    return _digest(
        {
            "removal": removal.mapping_hash if removal else None,
            "key": _key(source),
            "paths": list(paths),
            "source": [source.job, source.format, source.delimiter, source.encoding, list(source.nulls)],
            "joins": [[list(pair) for pair in one.on] for one in source.joins],
        }
    )


def _key(source: Source) -> Any:
    return {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)


def mapping_hash(*, vendor: str, target: Mapping[str, str], mode: str, record: Object) -> str:
    """Return the hex SHA-256 of what makes a record of a row's values. How the values were read is not part of it."""
    return _digest({"vendor": vendor, "target": dict(target), "mode": mode, "record": _shown(record)})


def _digest(what: Mapping[str, Any]) -> str:
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _shown(node: Node) -> Any:
    """Return a mapping as JSON in which the kinds of nodes cannot be taken for each other."""
    if isinstance(node, Literal):
        return {"literal": node.value}
    if isinstance(node, Expression):
        return {"expression": node.sql}
    if isinstance(node, Object):
        # The order of members is kept: it is the order in the file that is sent.
        return {"object": [[name, _shown(one)] for name, one in node.members]}
    if isinstance(node, Array):
        return {"array": [_shown(one) for one in node.items]}
    return {"each": _shown(node.item)}
