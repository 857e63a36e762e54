"""Sitecore's intake without its judgement, for load tests: records are counted, and kept by their ref alone.

A file must be whole gzip, and each line one complete record on the outside: it begins with a `ref` that is a UUID and
ends as an object does. A line of any other form is read as JSON and its envelope is checked as always. What
stands in `value` nobody looks at, so nothing is refused for it and nothing goes to the store.

It does not know HTTP, time or the store.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from lading_mocks import disk
from lading_mocks.ledger import FATES
from lading_mocks.sitecore import records
from lading_mocks.sitecore.unpack import LINE_LIMIT, Unusable, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lading_mocks.sitecore.switches import SitecoreSwitches

_BEGINNING = rb'\{"ref":"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",'
_LENGTH = len('{"ref":"01234567-89ab-cdef-0123-456789abcdef",')
_REF = slice(len('{"ref":"'), _LENGTH - len('",'))
_one = re.compile(_BEGINNING).match
_all = re.compile(b"(?:" + _BEGINNING + b")*").fullmatch


class Count:
    """What has been counted of one file: by line its ref, and the fates of lines that were looked at one by one."""

    def __init__(self, switches: SitecoreSwitches, refs: IO[bytes], others: IO[bytes]) -> None:
        """Write a line for each line to `refs` (empty: not usual), and one for each unusual record to `others`."""
        self._switches, self._refs, self._others = switches, refs, others
        self._line = 0
        self.counts = {"read": 0, "processed": 0, "failed": 0}
        self.refused: list[records.Fate] = []

    def take(self, lines: list[bytes]) -> None:
        """Count some lines, which come without their ends."""
        refs = [line[_REF] for line in lines]
        # All at once first: it is many times as fast as line by line, and as a rule all are usual.
        heads, ends = b"".join([line[:_LENGTH] for line in lines]), b"".join([line[-1:] for line in lines])
        unusual: list[int] = []
        if len(heads) != _LENGTH * len(lines) or ends != b"}" * len(lines) or not _all(heads):
            unusual = [at for at, line in enumerate(lines) if not _one(line) or line[-1:] != b"}"]
        for at in unusual:
            refs[at] = b""
            self._look(self._line + at + 1, lines[at])
        usual = len(refs) - len(unusual)
        self.counts["read"] += usual
        self.counts["processed"] += usual
        self._line += len(lines)
        self._refs.write(b"\n".join([*refs, b""]))

    def _look(self, number: int, line: bytes) -> None:
        if not line.strip() and self._switches.blank_lines == "skip":
            return
        fate = records.look(line if len(line) <= LINE_LIMIT else None, self._switches)
        self.counts["read"] += 1
        self.counts["failed" if fate.code else "processed"] += 1
        if fate.code:
            self.refused.append(fate)
        self._others.write(json.dumps([number, *asdict(fate).values()]).encode() + b"\n")


def process(file: Path, refs: Path, others: Path, switches: SitecoreSwitches) -> Count:
    """Count an upload, writing its refs by line and the fates of its unusual lines.

    Raises:
        Unusable: it is not whole gzip or too large, or it is empty where that is an error; then no file is written.
    """
    with disk.replacing(refs) as into, disk.replacing(others) as odd:
        count = Count(switches, into, odd)
        for lines in pieces(file):
            count.take(lines)
        if not count.counts["read"] and switches.empty_file == "error":
            msg = "the file holds no record"
            raise Unusable(msg)
    return count


def kept(refs: Path, others: Path) -> Iterator[list[Any]]:
    """Give what was written, by line: number, ref, schema, mode, code, message, detail.

    Schema and mode of a usual line are not known.
    """
    with refs.open("rb") as stream, others.open("rb") as odd:
        waiting = (json.loads(line) for line in odd)
        following = next(waiting, None)
        for number, line in enumerate(stream, start=1):
            if line != b"\n":
                yield [number, line[:-1].decode(), None, None, None, None, ""]
            elif following is not None and following[0] == number:
                yield following
                following = next(waiting, None)


def summary(made: Iterable[tuple[Path, Path]]) -> dict[str, int]:
    """Count as `ledger.summary` does, from the files that were written for each upload.

    It takes some hundred bytes of memory for each record while it works.
    """
    totals = {"delivered": 0, "repeated": 0, **dict.fromkeys(FATES, 0)}
    known: list[bytes] = []
    for refs, others in made:
        usual = [ref for ref in refs.read_bytes().split(b"\n") if ref]
        known += usual
        totals["accepted"] += len(usual)
        for line in others.read_bytes().splitlines():
            _, ref, _, _, code, *_ = json.loads(line)
            known += [ref.encode()] if ref != "null" else []
            totals["rejected" if code else "accepted"] += 1
    totals["delivered"] = totals["accepted"] + totals["rejected"]
    totals["repeated"] = len(known) - len(set(known))
    return totals
