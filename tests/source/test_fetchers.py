"""A source elsewhere, fetched by an installed package: one function with an entry point, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.job import Source
from batchsync.errors import UnavailableError
from batchsync.source import fetch
from kit.deployment import CDP, Deployment
from kit.installed import install

if TYPE_CHECKING:
    from pathlib import Path

CODE = r"""
import hashlib, json, os, pathlib
from dataclasses import replace
from batchsync.core.landed_part import LandedPart

def fetch(source, into, *, since=None, rows=None):
    folder = pathlib.Path(os.environ["ACME_FOLDER"])
    parts = []
    for number, table in enumerate(sorted(folder.glob(source.path.removeprefix("toy://") + "*.csv"))):
        data = table.read_bytes()
        part = into / f"part-{number}.csv"
        part.write_bytes(data)
        parts.append(LandedPart(path=str(part), sha256=hashlib.sha256(data).hexdigest()))
    with (folder / "calls").open("a") as log:
        call = {"into": str(into), "since": since, "rows": rows, "found": [str(item) for item in into.iterdir()]}
        log.write(json.dumps(call) + "\n")
    return replace(source, parts=tuple(parts), version="7")
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
    source: {path: "toy://guests", key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
    on_removed: delete
"""


@pytest.fixture
def toy(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment whose source is fetched by an installed package from a folder elsewhere."""
    folder = deployment.folder
    install(folder, monkeypatch, CODE, "[batchsync.source_fetchers]\ntoy = acme_batchsync:fetch\n")
    (folder / "elsewhere").mkdir()
    monkeypatch.setenv("ACME_FOLDER", str(folder / "elsewhere"))
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    _table(folder, "1,Ada", "2,Bo", "3,Cy")
    return deployment


def _table(folder: Path, *rows: str, name: str = "guests") -> None:
    (folder / "elsewhere" / f"{name}.csv").write_text("\n".join(["id,name", *rows, ""]), encoding="utf-8")


def _calls(folder: Path) -> list[dict[str, Any]]:
    """Return the calls of the fetcher since the last call of this function."""
    log = folder / "elsewhere" / "calls"
    if not log.exists():
        return []
    calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    log.unlink()
    return calls


def test_source_is_fetched_once_per_run_for_both_passes(toy: Deployment) -> None:
    _table(toy.folder, "4,Di", name="guests-2")
    toy.run("sync")
    assert toy.last_names() == ["Ada", "Bo", "Cy", "Di"]
    (first,) = _calls(toy.folder)
    assert sorted(path.rpartition("/")[2] for path in first["found"]) == ["part-0.csv", "part-1.csv"]
    assert first["into"].startswith(str(toy.folder / ".batchsync"))

    # Changes to a baseline are staged in a second pass over the rows, which reads the landed files.
    _table(toy.folder, "1,Ada", "2,Bob", "3,Cyd")
    toy.run("sync")
    assert toy.last_names() == ["Ada", "Bob", "Cyd", "Di"]
    (second,) = _calls(toy.folder)
    assert (second["since"], second["rows"]) == (None, None)
    assert not list(toy.folder.glob(".batchsync/**/part-*.csv"))
    assert "unchanged 4" in toy.run("sync")


def test_plan_fetches_and_leaves_nothing_and_validate_fetches_nothing(toy: Deployment) -> None:
    notes = toy.json("validate")["notes"]
    assert notes == ["guests: not checked: its source is fetched by each run"]
    assert _calls(toy.folder) == []
    toy.run("plan", "--detailed-exitcode", expect=10)
    (call,) = _calls(toy.folder)
    assert not list(toy.folder.glob(".batchsync/**/part-*.csv"))
    assert not (toy.folder / ".batchsync").exists() or not call["into"].startswith(str(toy.folder))


def test_job_that_does_not_fit_the_fetched_columns_is_refused(toy: Deployment) -> None:
    (toy.folder / "jobs.yaml").write_text(JOBS.replace("=name", "=surname"), encoding="utf-8")
    toy.run("sync", expect=2)
    shown = (toy.folder / "last.log").read_text(encoding="utf-8")
    assert "jobs.yaml:12: " in shown
    assert "surname" in shown
    assert not toy.mocks.store(CDP)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hexdigest()", "hexdigest()[::-1]", "part-0.csv was changed after it was fetched"),
        ('into / f"part-', 'folder / f"part-', "toy://guests was not landed in"),
        ("parts=tuple(parts)", "parts=()", "toy://guests was not landed in"),
    ],
)
def test_landed_files_with_other_content_or_place_are_refused(
    toy: Deployment, old: str, new: str, message: str
) -> None:
    (toy.folder / "site" / "acme_batchsync.py").write_text(CODE.replace(old, new), encoding="utf-8")
    toy.run("sync", expect=3)
    assert message in (toy.folder / "last.log").read_text(encoding="utf-8")
    assert not toy.mocks.store(CDP)


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("toy://", "tyo://", "jobs.yaml:9:20", 'no installed package fetches "tyo://"'),
        ('"toy://guests"', 'guests.csv, join: [{path: "tyo://x", on: id}]', "jobs.yaml:9:46", '"tyo://"'),
    ],
)
def test_sources_that_nothing_fetches_are_refused_with_their_place(
    toy: Deployment, old: str, new: str, place: str, message: str
) -> None:
    (toy.folder / "jobs.yaml").write_text(JOBS.replace(old, new), encoding="utf-8")
    toy.run("validate", expect=2)
    shown = (toy.folder / "last.log").read_text(encoding="utf-8")
    assert place in shown
    assert message in shown
    if "tyo" in new:
        assert 'did you mean "toy"?' in shown


def test_local_source_is_returned_as_it_is(tmp_path: Path) -> None:
    source = Source(path="data/*.csv", folder=str(tmp_path), key=("id",))
    assert fetch(source, tmp_path / "into") is source
    assert not (tmp_path / "into").exists()


def test_scheme_without_package_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no installed package registers source fetcher nosuch"):
        fetch(Source(path="nosuch://x", folder=str(tmp_path), key=("id",)), tmp_path / "into")
