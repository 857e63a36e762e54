"""Batch files of the generic mock: the records of an upload, each with what its envelope says about it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

from batchsync_mocks import disk
from batchsync_mocks.generic.templates import MismatchError, capture, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks.generic.spec import FileRules

#: Key of an envelope whose value stands for the members of the record.
SPLICE = "..."
_LINE_LIMIT = 16 << 20
#: Errors of incomplete or damaged gzip files.
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


class UnusableFileError(Exception):
    """Error for a file that cannot be processed as a whole; the text gives the reason without file content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record of a batch file.

    Attributes:
        number: Its number in the file, from 1.
        record: The record; None if the line could not be read.
        named: What its envelope says: `ref`, `schema`, `mode`, as far as the envelope has them.
        problem: Why the line could not be read, or empty.
    """

    number: int
    record: Any
    named: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """The record as texts by name, as a table has them."""
        members = self.record if isinstance(self.record, dict) else {}
        return {
            name: value if isinstance(value, str) else "" if value is None else json.dumps(value)
            for name, value in members.items()
        }


def read(file: Path, rules: FileRules) -> Iterator[Row]:
    """Read the records of an upload.

    Args:
        file: The upload.
        rules: Form of the vendor's batch files.

    Yields:
        The records, in the order of the file.

    Raises:
        UnusableFileError: If the file has another form.
    """
    count = 0
    try:
        with _opened(file, gzipped=rules.gzip) as stream:
            for row in _FORMATS[rules.format](stream, rules):
                count += 1
                yield row
    except _DAMAGED:
        msg = "the file is not complete gzip"
        raise UnusableFileError(msg) from None
    except UnicodeDecodeError:
        msg = "the file is not UTF-8"
        raise UnusableFileError(msg) from None
    if not count:
        msg = "the file has no record"
        raise UnusableFileError(msg)


def target_of(file: Path, rules: FileRules) -> dict[str, str]:
    """Return what a JSON document says about the target, by placeholder; empty for other files.

    Args:
        file: The upload.
        rules: Form of the vendor's batch files.

    Raises:
        UnusableFileError: If the file is no document of the vendor.
    """
    if rules.document is None:
        return {}
    with _opened(file, gzipped=rules.gzip) as stream:
        return {name: str(value) for name, value in _document(stream, rules).items() if name != "records"}


def _opened(file: Path, *, gzipped: bool) -> IO[bytes]:
    """Return the open, decompressed file."""
    return cast("IO[bytes]", gzip.open(file, "rb") if gzipped else file.open("rb"))


def _csv_rows(stream: IO[bytes], _rules: FileRules) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        reader = csv.reader(text, strict=True)
        header = next(reader, [])
        if not header or len(set(header)) < len(header):
            msg = "the header is empty or repeats a name"
            raise UnusableFileError(msg)
        for number, values in enumerate((values for values in reader if values), start=1):
            record = dict(zip(header, values, strict=False))
            problem = "" if len(values) == len(header) else "the row has another number of fields than the header"
            yield Row(number=number, record=record, problem=problem)
    except csv.Error:
        msg = "the file is not CSV"
        raise UnusableFileError(msg) from None
    finally:
        # Otherwise the wrapper would close the stream of the caller.
        text.detach()


def _json_lines(stream: IO[bytes], rules: FileRules) -> Iterator[Row]:
    """Yield the lines of a file of JSON lines; blank lines are skipped."""
    number = 0
    for line in disk.read_lines(stream, limit=_LINE_LIMIT):
        if line is not None and not line.strip():
            continue
        number += 1
        try:
            value = json.loads(line or b"")
        except (ValueError, RecursionError):
            yield Row(number=number, record=None, problem="the line is not JSON")
            continue
        yield _enveloped(number, value, rules)


def _document_rows(stream: IO[bytes], rules: FileRules) -> Iterator[Row]:
    """Yield the records of a JSON document."""
    records = _document(stream, rules)["records"]
    if not isinstance(records, list):
        msg = "the document has no list of records"
        raise UnusableFileError(msg)
    for number, value in enumerate(records, start=1):
        yield _enveloped(number, value, rules)


def _document(stream: IO[bytes], rules: FileRules) -> dict[str, Any]:
    """Return the placeholders of a JSON document; raise if it has another form."""
    try:
        return capture(rules.document, json.load(stream))
    except (ValueError, RecursionError):
        msg = "the file is not JSON"
        raise UnusableFileError(msg) from None
    except MismatchError as mismatch:
        msg = f"the document differs from that of the vendor at {mismatch}"
        raise UnusableFileError(msg) from None


def _enveloped(number: int, value: Any, rules: FileRules) -> Row:
    """Return a record with what its envelope says."""
    if rules.envelope is None:
        return Row(number=number, record=value)
    try:
        found = _captured(rules.envelope, value)
    except MismatchError as mismatch:
        return Row(number=number, record=None, problem=f"the envelope has another {mismatch}")
    record = found.pop("record", None)
    return Row(number=number, record=record, named={name: str(text) for name, text in found.items()})


def _captured(envelope: Any, value: Any) -> dict[str, Any]:
    """Return the placeholders of an envelope; the members of its record may follow its own."""
    if SPLICE not in envelope:
        return capture(envelope, value)
    own = {name: inner for name, inner in envelope.items() if name != SPLICE}
    found = capture(own, value)
    return {**found, "record": {name: inner for name, inner in value.items() if name not in own}}


def has_reference(rules: FileRules) -> bool:
    """Return whether each record has a reference of the client that stays the same for each version of it."""
    return not rules.numbered and "ref" in names_of(json.dumps(rules.envelope))


_FORMATS = {"csv": _csv_rows, "jsonl": _json_lines, "json": _document_rows}
