"""Edits of a job that change its removal hash, and the guards of removals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.core.guards import Guards, Limit, Removals
from batchsync.core.job import OnRemovedAnswer
from batchsync.errors import SpecError
from batchsync.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.core.deployment import Deployment

SOURCE = "source: {path: guests.csv, key: id}"
REMOVES = ("    mode: upsert\n", "    mode: upsert\n    on_removed: delete\n")
JOINED = (SOURCE, "source: {path: guests.csv, key: id, join: [{path: j.csv, on: c}]}")


def removal_hash(load: Callable[..., Deployment], *changes: tuple[str, str], **environ: str) -> str:
    return load(*changes, environ=environ).jobs[0].removal_hash


@pytest.mark.parametrize(
    "source",
    [
        "{path: other.csv, key: id}",
        "{path: guests.csv, key: email}",
        "{path: guests.csv, key: id, join: [{path: j.csv, on: c}]}",
        "{path: guests.csv, key: id, delimiter: ';'}",
        "{path: guests.csv, key: id, encoding: latin-1}",
        "{path: guests.csv, key: id, nulls: [none]}",
        "{path: guests.csv, key: id, format: jsonl}",
    ],
)
def test_edit_of_source_changes_removal_hash(load_changed: Callable[..., Deployment], source: str) -> None:
    record = ("id: =id}", "id: =email}") if "email}" in source else ("guestType: customer", "guestType: customer")
    plain = removal_hash(load_changed, REMOVES)
    assert removal_hash(load_changed, REMOVES, (SOURCE, f"source: {source}"), record) != plain


@pytest.mark.parametrize("join", ["{path: k.csv, on: c}", "{path: j.csv, on: d}", "{path: j.csv, on: {c: d}}"])
def test_edit_of_join_changes_removal_hash(load_changed: Callable[..., Deployment], join: str) -> None:
    edited = (SOURCE, f"source: {{path: guests.csv, key: id, join: [{join}]}}")
    assert removal_hash(load_changed, REMOVES, edited) != removal_hash(load_changed, REMOVES, JOINED)


@pytest.mark.parametrize(
    "edit",
    [
        ("on_removed: delete", "on_removed: gdpr_delete"),
        ("on_removed: delete\n", "\n"),
        ("provider: CRM", "provider: SHOP"),
    ],
)
def test_edit_of_removal_record_changes_removal_hash(
    load_changed: Callable[..., Deployment], edit: tuple[str, str]
) -> None:
    removes = (REMOVES[0], REMOVES[1].replace(*edit))
    changes = [removes] if removes != REMOVES else [REMOVES, edit]
    assert removal_hash(load_changed, *changes) != removal_hash(load_changed, REMOVES)


@pytest.mark.parametrize(
    "edit",
    [
        ("guestType: customer", "guestType: customer\n      city: Brno"),
        ("=lower(email)", "=upper(email)"),
        ("    on_removed", "    guards: {max_change: 5}\n    on_removed"),
        ("    on_removed", "    schedule: {every: 1h}\n    on_removed"),
        ("    on_removed", "    # a comment\n    on_removed"),
    ],
)
def test_other_edits_keep_removal_hash(load_changed: Callable[..., Deployment], edit: tuple[str, str]) -> None:
    removes = (REMOVES[0], REMOVES[1].replace(*edit))
    changes = [removes] if removes != REMOVES else [REMOVES, edit]
    assert removal_hash(load_changed, *changes) == removal_hash(load_changed, REMOVES)


def test_value_of_variable_in_path_keeps_removal_hash(load_changed: Callable[..., Deployment]) -> None:
    daily = (SOURCE, 'source: {path: "${DAY}/guests.csv", key: id}')
    first = removal_hash(load_changed, REMOVES, daily, DAY="monday")
    assert removal_hash(load_changed, REMOVES, daily, DAY="tuesday") == first


def test_guards_of_removals_are_read(load_changed: Callable[..., Deployment]) -> None:
    guards = "guards: {max_remove: 10 or 5%, min_rows: 0, removals_after_edit: send}"
    job = load_changed(("    mode: upsert\n", f"    mode: upsert\n    {guards}\n")).jobs[0]
    limit = Limit(count=10, percent=5.0)
    assert job.guards == Guards(max_remove=limit, min_rows=0, removals_after_edit=Removals.SEND)
    assert str(limit) == "10 or 5%"


@pytest.mark.parametrize("limit", ["10 or", "or 5%", "10 or 101%", "5% or 10", "10 and 5%", "-1 or 5%", "1 or 100.5%"])
def test_invalid_limit_is_refused(load_changed: Callable[..., Deployment], limit: str) -> None:
    with pytest.raises(SpecError):
        load_changed(("    mode: upsert\n", f'    mode: upsert\n    guards: {{max_remove: "{limit}"}}\n'))


LOOKUP = """\
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    base_url: https://api.tst.motorweb.app
    credentials: {client_id: "${A}", client_secret: "${B}"}
jobs:
  vehicles:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch}
    mode: lookup
    record: {vin: =vin}
    results: {path: out.csv, on_removed: keep}
"""


def test_only_removal_of_answers_changes_removal_hash(tmp_path: Path) -> None:
    jobs = {}
    for on_removed in OnRemovedAnswer:
        file = tmp_path / "jobs.yaml"
        file.write_text(LOOKUP.replace("on_removed: keep", f"on_removed: {on_removed}"), encoding="utf-8")
        (jobs[on_removed],) = load(file, environ={"A": "x", "B": "y"}).jobs

    kept, removed, marked = (jobs[item] for item in ("keep", "remove", "mark"))
    assert kept.removal_hash == marked.removal_hash != removed.removal_hash
    assert kept.spec_hash == removed.spec_hash
    assert [job.removes for job in (kept, removed, marked)] == [False, True, False]
