"""File processing of the Sitecore mock: applies uploads by line, and writes the error log and the ledger."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from batchsync_mocks import disk
from batchsync_mocks.sitecore import bulk, records
from batchsync_mocks.sitecore.gzip_lines import UnusableFileError, check_complete, lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from batchsync_mocks.sitecore.store import Store
    from batchsync_mocks.sitecore.switches import SitecoreSwitches


_needs_no_escape = re.compile("[0-9A-Fa-f-]+").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPaths:
    """Paths of the files generated for a batch; `refs` exists only if its records were counted in bulk."""

    log: Path
    ledger: Path
    refs: Path


def process(file: Path, store: Store, paths: OutputPaths, *, now: float, switches: SitecoreSwitches) -> dict[str, int]:
    """Apply an upload to the store in order; write the error log and the ledger.

    Args:
        file: The upload.
        store: Store of the tenant; changed in place.
        paths: Files to write.
        now: Time of processing, in epoch seconds.
        switches: Switches of the vendor.

    Returns:
        Numbers of records `read`, `processed` and `failed`.

    Raises:
        UnusableFileError: As `check_complete`; nothing is applied and no file is written then.
    """
    check_complete(file)
    skip_blank = switches.blank_lines == "skip"
    if switches.empty_file == "error" and next(lines(file, skip_blank=skip_blank), None) is None:
        msg = "the file contains no record"
        raise UnusableFileError(msg)
    counts = {"read": 0, "processed": 0, "failed": 0}
    with _gzip_writer(paths.log) as log, disk.atomic_write(paths.ledger) as ledger:
        for number, line in lines(file, skip_blank=skip_blank):
            outcome = records.process(line, store, now, switches)
            counts["read"] += 1
            counts["failed" if outcome.code else "processed"] += 1
            if outcome.code or switches.log_successes:
                log.write(_log_line(outcome, whole_number=switches.log_code == "integer"))
            ledger.write(_ledger_line(number, outcome))
    return counts


def count(file: Path, paths: OutputPaths, switches: SitecoreSwitches) -> dict[str, int]:
    """Count an upload without applying it; write the error log, the refs, and the ledger of unusual lines.

    Args:
        file: The upload.
        paths: Files to write.
        switches: Switches of the vendor.

    Returns:
        Numbers of records `read`, `processed` and `failed`.

    Raises:
        UnusableFileError: If the file is not complete gzip; no file is written then.
    """
    with _gzip_writer(paths.log) as log:
        counter = bulk.process(file, paths.refs, paths.ledger, switches)
        for outcome in counter.rejected:
            log.write(_log_line(outcome, whole_number=switches.log_code == "integer"))
    return counter.counts


def _ledger_line(number: int, outcome: records.RowOutcome) -> bytes:
    """Return a line of the ledger file."""
    if outcome.code is None and outcome.message is None and _needs_no_escape(outcome.ref):
        # Fast path for nearly all lines. Schema and mode are valid here, or the record would have been rejected.
        return f'[{number}, "{outcome.ref}", "{outcome.schema}", "{outcome.mode}", null, null, ""]\n'.encode()
    return json.dumps([number, *astuple(outcome)]).encode() + b"\n"


def _log_line(outcome: records.RowOutcome, *, whole_number: bool) -> bytes:
    """Return a line of the error log (3.5)."""
    # The log entry of a processed record is documented for deletes only; the other message is invented.
    code, message = outcome.code or "200", outcome.message or "Processed"
    entry = {"ref": outcome.ref, "code": int(code) if whole_number else code, "message": message}
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def entries(
    file: Path, outputs: OutputPaths | None, *, outcome: str, values: bool, skip: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the ledger entries of an upload.

    Args:
        file: The upload.
        outputs: The files written when it was processed; None if it was not processed.
        outcome: Outcome of all records of an unprocessed upload.
        values: Whether to add the records' values.
        skip: Number of entries at the start that are left out.
    """
    if outputs is None:
        yield from _delivered(file, outcome, values=values, skip=skip)
        return
    delivered = lines(file, skip_blank=False) if values else iter(())
    lines_processed = (
        islice(bulk.read_entries(outputs.refs, outputs.ledger), skip, None)
        if outputs.refs.exists()
        else _read_ledger(outputs.ledger, skip)
    )
    for number, ref, schema, mode, code, message, detail in lines_processed:
        entry = {"line": number, "ref": ref, "schema": schema, "mode": mode}
        entry |= {"outcome": "rejected" if code else "accepted", "code": code, "message": message, "detail": detail}
        if values:
            line = next(line for line_number, line in delivered if line_number == number)
            entry["value"] = _value(records.read(line))
        yield entry


def values_of(file: Path, numbers: Collection[int]) -> dict[int, Any]:
    """Return the values of the records in some lines of an upload, by the number of the line."""
    found: dict[int, Any] = {}
    for number, line in lines(file, skip_blank=False) if numbers else ():
        if number in numbers:
            found[number] = _value(records.read(line))
        if len(found) == len(numbers):
            break
    return found


def _read_ledger(ledger: Path, skip: int) -> Iterator[list[Any]]:
    """Yield the entries of a ledger file, without those to skip."""
    with ledger.open(encoding="utf-8") as stream:
        for line in islice(stream, skip, None):
            yield json.loads(line)


def _delivered(file: Path, outcome: str, *, values: bool, skip: int) -> Iterator[dict[str, Any]]:
    """Yield the ledger entries of an unprocessed upload, without those to skip."""
    try:
        check_complete(file)
    except UnusableFileError:
        return
    for number, line in islice(lines(file), skip, None):
        record = records.read(line) or {}
        names = {name: text if isinstance(text := record.get(name), str) else None for name in ("schema", "mode")}
        ref = record.get("ref")
        entry = {"line": number, "ref": ref if isinstance(ref, str) else "null", **names}
        entry |= {"outcome": outcome, "code": None, "message": None, "detail": ""}
        yield entry | ({"value": _value(record)} if values else {})


def _value(record: dict[str, Any] | None) -> Any:
    """Return the value of a record; None if it has none."""
    return None if record is None else record.get("value")


@contextmanager
def _gzip_writer(file: Path) -> Iterator[gzip.GzipFile]:
    """Open a gzip file that appears complete or not at all."""
    # Without name and time in the header, so that logs of equal batches are equal.
    with (
        disk.atomic_write(file) as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed,
    ):
        yield compressed
