"""Bulk mode of the Sitecore mock, for load tests: records are counted by `ref`, without validation of their values.

A file must be complete gzip, and each line must look like a record: it begins with a `ref` that is a UUID, and ends
with a closing brace. A line of any other format is parsed as JSON, and its envelope is checked as usual. `value` is not
validated and not stored.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from batchsync_mocks import disk
from batchsync_mocks.ledger import OUTCOMES
from batchsync_mocks.sitecore import records
from batchsync_mocks.sitecore.gzip_lines import LINE_LIMIT, UnusableFileError, line_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batchsync_mocks.sitecore.switches import SitecoreSwitches

_LINE_START = rb'\{"ref":"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",'
_START_LENGTH = len('{"ref":"01234567-89ab-cdef-0123-456789abcdef",')
_REF = slice(len('{"ref":"'), _START_LENGTH - len('",'))
_match_line_start = re.compile(_LINE_START).match
_match_line_starts = re.compile(b"(?:" + _LINE_START + b")*").fullmatch


class LineCounter:
    """Counter of the lines of a file; writes the ref of each line, and the outcomes of unusual lines."""

    def __init__(self, switches: SitecoreSwitches, refs: IO[bytes], others: IO[bytes]) -> None:
        """Create the counter.

        Args:
            switches: Switches of the vendor.
            refs: Receives a line per line: its ref, or an empty line if it is unusual.
            others: Receives a JSON array per unusual record.
        """
        self._switches, self._refs, self._others = switches, refs, others
        self._line = 0
        self.counts = {"read": 0, "processed": 0, "failed": 0}
        self.rejected: list[records.RowOutcome] = []

    def add(self, lines: list[bytes]) -> None:
        """Count lines, given without their line ends."""
        refs = [line[_REF] for line in lines]
        # All lines at once first, which is many times faster than line by line; usually all match.
        heads, ends = b"".join([line[:_START_LENGTH] for line in lines]), b"".join([line[-1:] for line in lines])
        unusual: list[int] = []
        if len(heads) != _START_LENGTH * len(lines) or ends != b"}" * len(lines) or not _match_line_starts(heads):
            unusual = [index for index, line in enumerate(lines) if not _match_line_start(line) or line[-1:] != b"}"]
        for index in unusual:
            refs[index] = b""
            self._check_line(self._line + index + 1, lines[index])
        usual = len(refs) - len(unusual)
        self.counts["read"] += usual
        self.counts["processed"] += usual
        self._line += len(lines)
        self._refs.write(b"\n".join([*refs, b""]))

    def _check_line(self, number: int, line: bytes) -> None:
        """Check an unusual line, and write its outcome."""
        if not line.strip() and self._switches.blank_lines == "skip":
            return
        outcome = records.check_envelope(line if len(line) <= LINE_LIMIT else None, self._switches)
        self.counts["read"] += 1
        self.counts["failed" if outcome.code else "processed"] += 1
        if outcome.code:
            self.rejected.append(outcome)
        self._others.write(json.dumps([number, *asdict(outcome).values()]).encode() + b"\n")


def process(file: Path, refs: Path, others: Path, switches: SitecoreSwitches) -> LineCounter:
    """Count an upload; write the ref of each line, and the outcomes of unusual lines.

    Args:
        file: The upload.
        refs: File to write the refs to.
        others: File to write the outcomes to.
        switches: Switches of the vendor.

    Returns:
        The counter, with the counts of the file.

    Raises:
        UnusableFileError: If the file is not complete gzip or too large, or empty where that is an error; no file is
            written then.
    """
    with disk.atomic_write(refs) as into, disk.atomic_write(others) as unusual:
        counter = LineCounter(switches, into, unusual)
        for lines in line_chunks(file):
            counter.add(lines)
        if not counter.counts["read"] and switches.empty_file == "error":
            msg = "the file contains no record"
            raise UnusableFileError(msg)
    return counter


def read_entries(refs: Path, others: Path) -> Iterator[list[Any]]:
    """Yield the written entries by line: number, ref, schema, mode, code, message, detail.

    Schema and mode of usual lines are None.
    """
    with refs.open("rb") as stream, others.open("rb") as unusual:
        parsed = (json.loads(line) for line in unusual)
        following = next(parsed, None)
        for number, line in enumerate(stream, start=1):
            if line != b"\n":
                yield [number, line[:-1].decode(), None, None, None, None, ""]
            elif following is not None and following[0] == number:
                yield following
                following = next(parsed, None)


def summary(files: Iterable[tuple[Path, Path]]) -> dict[str, int]:
    """Count deliveries by outcome, as `ledger.summary` does.

    Takes some hundred bytes of memory per record.

    Args:
        files: The files written for each upload: (refs, others).

    Returns:
        Numbers of deliveries (`delivered`) and repeated deliveries (`repeated`), and of records by outcome.
    """
    totals = {"delivered": 0, "repeated": 0, **dict.fromkeys(OUTCOMES, 0)}
    all_refs: list[bytes] = []
    for refs, others in files:
        usual = [ref for ref in refs.read_bytes().split(b"\n") if ref]
        all_refs += usual
        totals["accepted"] += len(usual)
        for line in others.read_bytes().splitlines():
            _, ref, _, _, code, *_ = json.loads(line)
            all_refs += [ref.encode()] if ref != "null" else []
            totals["rejected" if code else "accepted"] += 1
    totals["delivered"] = totals["accepted"] + totals["rejected"]
    totals["repeated"] = len(all_refs) - len(set(all_refs))
    return totals
