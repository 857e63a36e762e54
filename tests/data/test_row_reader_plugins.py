"""A file format of an installed package: one class with an entry point, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.deployment import CDP, Deployment
from kit.installed import install

if TYPE_CHECKING:
    from pathlib import Path

CODE = r"""
import os
import polars as pl
from batchsync.data import ROW, RowReader
from batchsync.errors import SourceError

class PairsReader(RowReader):
    '''Files of `id=name` lines.'''

    def schema(self, path, source):
        with open(os.environ["ACME_OPENED"], "a") as log:
            log.write(path.name + "\n")
        return {"id": pl.String(), "name": pl.String()}

    def check(self, file):
        for number, line in enumerate(file.path.read_text().splitlines(), 1):
            if line.count("=") != 1:
                raise SourceError(f"{file.path}:{number}: not a pair", hint="Write id=name.")

    def read(self, file):
        pairs = [line.split("=") for line in file.path.read_text().splitlines()]
        rows = [(index, *pair) for index, pair in enumerate(pairs) if len(pair) == 2]
        frame = pl.DataFrame(rows, schema={ROW: pl.Int64, "id": pl.String, "name": pl.String}, orient="row")
        yield frame.select(ROW, *file.source.values())
"""
JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
jobs:
  guests:
    source: {SOURCE, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
"""


@pytest.fixture
def pairs(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment where a package with a reader of `.pairs` files is installed."""
    folder = deployment.folder
    install(folder, monkeypatch, CODE, "[batchsync.row_readers]\npairs = acme_batchsync:PairsReader\n")
    monkeypatch.setenv("ACME_OPENED", str(folder / "opened"))
    _declare(deployment, "path: guests.pairs")
    (folder / "guests.pairs").write_text("1=Ada\n2=Bo\n3=N/A\n", encoding="utf-8")
    return deployment


def _declare(deployment: Deployment, source: str) -> None:
    (deployment.folder / "jobs.yaml").write_text(JOBS.replace("SOURCE", source), encoding="utf-8")


def _opened(folder: Path) -> list[str]:
    """Return the files whose schema was read since the last call."""
    log = folder / "opened"
    names = log.read_text(encoding="utf-8").splitlines()
    log.unlink()
    return names


def test_file_of_installed_format_is_synced_and_then_unchanged(pairs: Deployment) -> None:
    pairs.run("sync")
    assert pairs.last_names() == ["Ada", "Bo", "N/A"]
    assert "unchanged 3" in pairs.run("sync")
    (pairs.folder / "guests.pairs").write_text("1=Ada\n2=Bob\n3=N/A\n", encoding="utf-8")
    assert "unchanged 2" in pairs.run("sync")
    assert pairs.last_names() == ["Ada", "Bob", "N/A"]


@pytest.mark.parametrize("command", ["validate", "plan", "sync"])
def test_schema_of_source_and_join_is_read_once_per_command(pairs: Deployment, command: str) -> None:
    pairs.run("sync")
    _opened(pairs.folder)
    _declare(pairs, "path: guests.csv, join: [{path: guests.pairs, on: {number: id}}]")
    (pairs.folder / "guests.csv").write_text("id,number\na,1\nb,2\n", encoding="utf-8")
    pairs.run(command)
    assert _opened(pairs.folder) == ["guests.pairs"]
    _declare(pairs, "path: guests.pairs, nulls: [N/A]")
    pairs.run(command)
    assert _opened(pairs.folder) == ["guests.pairs"]


def test_declared_format_and_files_of_a_glob_are_read(pairs: Deployment) -> None:
    _declare(pairs, 'path: "*.dat", format: pairs')
    for number in (1, 2):
        (pairs.folder / f"{number}.dat").write_text(f"{number}=Name {number}\n", encoding="utf-8")
    pairs.run("sync")
    assert pairs.last_names() == ["Name 1", "Name 2"]
    assert _opened(pairs.folder) == ["1.dat", "2.dat"]


def test_check_of_installed_format_stops_the_run(pairs: Deployment) -> None:
    (pairs.folder / "guests.pairs").write_text("1=Ada\nBo\n", encoding="utf-8")
    pairs.run("sync", expect=3)
    assert "guests.pairs:2: not a pair" in (pairs.folder / "last.log").read_text(encoding="utf-8")
    assert not pairs.mocks.store(CDP)


def test_unknown_formats_are_refused_with_the_installed_ones(pairs: Deployment) -> None:
    _declare(pairs, "path: guests.foo")
    pairs.run("validate", expect=2)
    message = (pairs.folder / "last.log").read_text(encoding="utf-8")
    assert "jobs.yaml:9:20" in message
    assert "a path ending in .pairs, .csv" in message
    _declare(pairs, "path: guests.foo, format: pair")
    pairs.run("validate", expect=2)
    message = (pairs.folder / "last.log").read_text(encoding="utf-8")
    assert "one of csv, parquet, jsonl, excel, pairs" in message
    assert '"pairs"' in message


def test_reader_that_cannot_be_imported_is_named(pairs: Deployment) -> None:
    (pairs.folder / "site" / "acme_batchsync.py").write_text("import no_such_module\n", encoding="utf-8")
    pairs.run("sync", expect=3)
    message = (pairs.folder / "last.log").read_text(encoding="utf-8")
    assert "cannot load the row reader package acme_batchsync:PairsReader: ModuleNotFoundError" in message
