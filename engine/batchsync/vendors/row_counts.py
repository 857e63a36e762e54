"""Number of rows in a downloaded row log, by which alternative downloads of the same log are compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batchsync.core.vendor_rules import LogFormat
from batchsync.errors import AmbiguousOutcomeError
from batchsync.util.gzip_reader import DAMAGED, iter_decompressed
from batchsync.vendors.response_parsing import json_pointer

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.vendor_rules import ErrorLayout

_CHUNK = 8 << 20


def count_rows(path: Path, layout: ErrorLayout) -> int:
    """Return the number of rows that a row log lists.

    Args:
        path: The log; a file named `.csv` is CSV with a header, whatever format the layout names.
        layout: Format of the log, and the member of a JSON document that contains the list.

    Raises:
        AmbiguousOutcomeError: If it is not a log of this format: a page of a proxy, or a truncated document.
    """
    try:
        text = b"".join(iter_decompressed(path, _CHUNK)).decode("utf-8-sig", "replace")
    except (*DAMAGED, OSError):
        text = None
    if text is None:
        raise AmbiguousOutcomeError(f"{path.name}: the row log arrived damaged")
    if layout.format is LogFormat.CSV or path.suffix == ".csv":
        return _count_csv(text, path.name)
    return _count_json(text, layout, path.name)


def _count_csv(text: str, name: str) -> int:
    if text.lstrip().startswith("<"):
        raise AmbiguousOutcomeError(f"{name}: a page instead of a row log in CSV")
    return max(sum(1 for line in text.splitlines() if line.strip()) - 1, 0)


def _count_json(text: str, layout: ErrorLayout, name: str) -> int:
    if layout.format is LogFormat.JSONL:
        return sum(1 for line in text.splitlines() if line.strip())
    documents = _documents(text)
    if documents is None:
        raise AmbiguousOutcomeError(f"{name}: the row log is not JSON")
    at = layout.items if layout.items.startswith("/") or not layout.items else f"/{layout.items}"
    lists = (json_pointer(document, at) if at else document for document in documents)
    return sum(len(items) for items in lists if isinstance(items, list))


def _documents(text: str) -> list[Any] | None:
    """Return the JSON document of a text, or its pages, one per line; None if it is neither."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()] or None
    except (ValueError, RecursionError):
        return None
