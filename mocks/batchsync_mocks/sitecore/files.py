"""Sitecore's work on files: apply an upload line by line, write the error log and the ledger of what became of it.

It does not know HTTP or time; whole files are never in memory.
"""

from __future__ import annotations

import gzip
import json
import re
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from lading_mocks import disk
from lading_mocks.sitecore import bulk, records
from lading_mocks.sitecore.unpack import Unusable, check_whole, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading_mocks.sitecore.store import Store
    from lading_mocks.sitecore.switches import SitecoreSwitches


_PLAIN = re.compile("[0-9A-Fa-f-]+").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the files made of a batch go; `refs` is there only when its records were counted in bulk."""

    log: Path
    ledger: Path
    refs: Path


def process(file: Path, store: Store, paths: Paths, *, now: float, switches: SitecoreSwitches) -> dict[str, int]:
    """Apply an upload to the store in order, writing the error log and the ledger.

    Returns:
        How many records were `read`, `processed` and `failed`.

    Raises:
        Unusable: as `check_whole`; then nothing is applied and no file is written.
    """
    check_whole(file)
    skip_blank = switches.blank_lines == "skip"
    if switches.empty_file == "error" and next(lines(file, skip_blank=skip_blank), None) is None:
        msg = "the file holds no record"
        raise Unusable(msg)
    counts = {"read": 0, "processed": 0, "failed": 0}
    with _packed(paths.log) as log, disk.replacing(paths.ledger) as ledger:
        for number, line in lines(file, skip_blank=skip_blank):
            fate = records.process(line, store, now, switches)
            counts["read"] += 1
            counts["failed" if fate.code else "processed"] += 1
            if fate.code or switches.log_successes:
                log.write(_log_line(fate, whole_number=switches.log_code == "integer"))
            ledger.write(_ledger_line(number, fate))
    return counts


def count(file: Path, paths: Paths, switches: SitecoreSwitches) -> dict[str, int]:
    """Count an upload without applying it, writing the error log, the refs, and the ledger of unusual lines.

    Returns:
        As `process`.

    Raises:
        Unusable: it is not one whole gzip file; then no file is written.
    """
    with _packed(paths.log) as log:
        counted = bulk.process(file, paths.refs, paths.ledger, switches)
        for fate in counted.refused:
            log.write(_log_line(fate, whole_number=switches.log_code == "integer"))
    return counted.counts


def _ledger_line(number: int, fate: records.Fate) -> bytes:
    if fate.code is None and fate.message is None and _PLAIN(fate.ref):
        # What nearly all lines are. Schema and mode are known words here, or the record would have been refused.
        return f'[{number}, "{fate.ref}", "{fate.schema}", "{fate.mode}", null, null, ""]\n'.encode()
    return json.dumps([number, *astuple(fate)]).encode() + b"\n"


def _log_line(fate: records.Fate, *, whole_number: bool) -> bytes:
    # What the log says of a processed record is documented for deletes only; the other word is an invention.
    code, message = fate.code or "200", fate.message or "Processed"
    said = {"ref": fate.ref, "code": int(code) if whole_number else code, "message": message}
    return json.dumps(said).encode() + b"\n"


def entries(file: Path, made: Paths | None, *, fate: str, values: bool) -> Iterator[dict[str, Any]]:
    """Give the oracle's entries of one upload.

    With `made`, what was written when it was processed; without, what the file delivered under the given fate
    (nothing, if it cannot be read).
    """
    if made is None:
        yield from _delivered(file, fate, values=values)
        return
    delivered = lines(file, skip_blank=False) if values else iter(())
    kept = bulk.kept(made.refs, made.ledger) if made.refs.exists() else _kept(made.ledger)
    for number, ref, schema, mode, code, message, detail in kept:
        entry = {"line": number, "ref": ref, "schema": schema, "mode": mode}
        entry |= {"fate": "rejected" if code else "accepted", "code": code, "message": message, "detail": detail}
        if values:
            line = next(line for at, line in delivered if at == number)
            entry["value"] = _value(records.read(line))
        yield entry


def _kept(ledger: Path) -> Iterator[list[Any]]:
    with ledger.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _delivered(file: Path, fate: str, *, values: bool) -> Iterator[dict[str, Any]]:
    try:
        check_whole(file)
    except Unusable:
        return
    for number, line in lines(file):
        record = records.read(line) or {}
        names = {name: said if isinstance(said := record.get(name), str) else None for name in ("schema", "mode")}
        ref = record.get("ref")
        entry = {"line": number, "ref": ref if isinstance(ref, str) else "null", **names}
        entry |= {"fate": fate, "code": None, "message": None, "detail": ""}
        yield entry | ({"value": _value(record)} if values else {})


def _value(record: dict[str, Any] | None) -> Any:
    return None if record is None else record.get("value")


@contextmanager
def _packed(file: Path) -> Iterator[gzip.GzipFile]:
    # The name and the time inside gzip would make two logs of the same batch differ.
    with disk.replacing(file) as stream, gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
        yield packed
