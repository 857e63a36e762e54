"""Broken sources: each leads to a clear error or to counted rows, without a traceback; only valid rows are sent."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pytest

from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = b"id,name,email\n"
GOOD = HEAD + b"G1,one,one@example.com\nG2,two,two@example.com\n"


@dataclass(frozen=True)
class Broken:
    """A broken source and its expected result: an error that contains `message`, or a settled run if that is empty."""

    content: bytes | None
    message: str = ""
    exit_code: int = 3
    accepted: int = 0
    invalid: int = 0
    name: str = "guests.csv"
    prepare: Callable[[Path], None] | None = None


def _parquet(path: Path) -> None:
    pl.DataFrame({"id": ["G1", "G2"], "name": ["one", None], "email": ["one@example.com", "x"]}).write_parquet(path)


def _truncated_parquet(path: Path) -> None:
    _parquet(path)
    path.write_bytes(path.read_bytes()[:-40])


def _directory(path: Path) -> None:
    path.mkdir()


CASES = {
    "absent": Broken(None, "guests.csv"),
    "empty file": Broken(b"", "empty"),
    "header only": Broken(HEAD, exit_code=0),
    "header only without newline": Broken(HEAD.strip(), exit_code=0),
    "byte order mark": Broken(b"\xef\xbb\xbf" + GOOD, exit_code=0, accepted=2),
    "windows line ends": Broken(GOOD.replace(b"\n", b"\r\n"), exit_code=0, accepted=2),
    "last line unterminated": Broken(GOOD.strip(), exit_code=0, accepted=2),
    "wrong encoding": Broken(GOOD.replace(b"one,one@", b"J\xe9r\xf4me,one@"), "UTF-8"),
    "utf-16": Broken(GOOD.decode().encode("utf-16"), "guests.csv"),
    "row with too many fields": Broken(GOOD + b"G3,three,three@example.com,surplus\n", "3"),
    "row with too few fields": Broken(GOOD + b"G3,three\n", "3"),
    "huge line": Broken(GOOD + b"G3," + b"x" * (20 << 20) + b",three@example.com\n", "guests.csv"),
    "duplicate keys": Broken(GOOD + b"G1,again,again@example.com\n", "duplicate"),
    "null key": Broken(GOOD + b",unknown,unknown@example.com\n", exit_code=0, accepted=2, invalid=1),
    "bad rows": Broken(GOOD + b"G3,three,not-an-address\n", exit_code=0, accepted=2, invalid=1),
    "control characters": Broken(GOOD.replace(b",one,", b',"o\x01n\te\x1f",'), exit_code=0, accepted=2),
    "quoted newline": Broken(GOOD.replace(b",one,", b',"o\nne",'), exit_code=0, accepted=2),
    "unclosed quote": Broken(GOOD + b'G3,"three,three@example.com\n', "guests.csv"),
    "NUL bytes": Broken(GOOD.replace(b",one,", b",o\x00ne,"), exit_code=0, accepted=2),
    "missing column": Broken(GOOD.replace(b"email", b"e-mail"), "email", exit_code=2),
    "wrong delimiter": Broken(GOOD.replace(b",", b";"), "delimiter", exit_code=2),
    "duplicate header": Broken(GOOD.replace(b"name", b"id"), "id"),
    "directory": Broken(None, "guests.csv", prepare=_directory),
    "truncated gzip": Broken(gzip.compress(GOOD * 50)[:-20], "guests.csv.gz", name="guests.csv.gz"),
    "plain text named as gzip": Broken(GOOD, exit_code=0, accepted=2, name="guests.csv.gz"),
    "parquet": Broken(None, exit_code=0, accepted=1, invalid=1, name="guests.parquet", prepare=_parquet),
    "invalid parquet": Broken(GOOD, "guests.parquet", name="guests.parquet"),
    "truncated parquet": Broken(None, "guests.parquet", name="guests.parquet", prepare=_truncated_parquet),
    "jsonl with a broken line": Broken(b'{"id":"G1","name":"a","email":"a@b.cz"}\n{"id":\n', "2", name="guests.jsonl"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_source_is_reported_and_only_valid_rows_are_sent(deployment: Deployment, case: str) -> None:
    broken = CASES[case]
    (deployment.folder / "guests.csv").unlink()
    source = deployment.folder / broken.name
    if broken.content is not None:
        source.write_bytes(broken.content)
    elif broken.prepare is not None:
        broken.prepare(source)
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("path: guests.csv", f"path: {broken.name}"), encoding="utf-8")

    deployment.run("sync", "guests", expect=broken.exit_code)

    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert broken.message in log
    outcomes = [entry["outcome"] for entry in deployment.mocks.ledger(CDP)]
    assert outcomes == ["accepted"] * broken.accepted
    if broken.exit_code == 0:
        settlement = deployment.json("show", "guests")["runs"][0]["settlement"]
        assert (settlement["accepted"], settlement["invalid"]) == (broken.accepted, broken.invalid)


def test_unreadable_source_is_reported(deployment: Deployment) -> None:
    (deployment.folder / "guests.csv").unlink()
    (deployment.folder / "guests.csv").symlink_to("/proc/1/mem")

    deployment.run("sync", "guests", expect=3)

    assert deployment.mocks.ledger(CDP) == []
