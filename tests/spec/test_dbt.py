"""Relations of dbt: found in the manifest that dbt 1.9 wrote for a small project, or refused in words.

`dbt/manifest.json` has the keys of its nodes that say where they are; macros, documentation and code are left out.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.spec import dbt_manifest
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spec.conftest import Workshop

    from batchsync.core.query import Query

MANIFEST = Path(__file__).parent / "dbt" / "manifest.json"
POSTGRES = "{database: postgres, url: '${SHOP_URL}'}"


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """A workshop with the manifest of a project of dbt."""
    (workshop.path.parent / "target").mkdir()
    shutil.copy(MANIFEST, workshop.path.parent / "target" / "manifest.json")
    return workshop


def _text(workshop: Workshop, model: str, database: str = POSTGRES, manifest: str = "target/manifest.json") -> str:
    written = f"source: {{connection: shop, dbt: {{manifest: {manifest}, model: {json.dumps(model)}}}, key: id}}"
    return workshop.changed(("  cars:\n", f"  shop: {database}\n  cars:\n"),
                            ("source: {path: guests.csv, key: id}", written))  # fmt: skip


def _query(workshop: Workshop, model: str, **more: str) -> Query:
    (job,) = (job for job in workshop.load(_text(workshop, model, **more)).jobs if job.name == "guests")
    assert job.source.query is not None
    return job.source.query


def _edit(workshop: Workshop, change: Callable[[dict[str, Any]], object]) -> None:
    path = workshop.path.parent / "target" / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "statement", "reference"),
    [
        ("mart_guests", '"shopdb"."dev_mart"."mart_guests"', "ref('mart_guests')"),
        ("shop.mart_guests", '"shopdb"."dev_mart"."mart_guests"', "ref('mart_guests')"),
        ("model.shop.mart_guests", '"shopdb"."dev_mart"."mart_guests"', "ref('mart_guests')"),
        ("aliased", '"shopdb"."dev_mart"."Other Name"', "ref('aliased')"),
        ("segments", '"shopdb"."dev"."segments"', "ref('segments')"),
        ("snap", '"shopdb"."snapshots"."snap"', "ref('snap')"),
        ("versioned", '"shopdb"."dev_mart"."versioned_v2"', "ref('versioned', v=2)"),
        ("versioned.v1", '"shopdb"."dev_mart"."versioned_v1"', "ref('versioned', v=1)"),
        # Its identifier has no quotation marks, so PostgreSQL stores small letters.
        ("raw.orders", '"shopdb"."raw_data"."orders_2024"', "source('raw', 'orders')"),
        ("shop.raw.orders", '"shopdb"."raw_data"."orders_2024"', "source('raw', 'orders')"),
    ],
)
def test_models_seeds_snapshots_and_sources_are_found(
    shop: Workshop, model: str, statement: str, reference: str
) -> None:
    query = _query(shop, model)
    assert query.statement().removeprefix("SELECT * FROM ") == statement
    assert query.dbt is not None
    assert query.dbt.text == reference
    assert query.title.startswith("shop: shopdb.")


@pytest.mark.parametrize(
    ("adapter", "database", "relation", "names"),
    [
        ("sqlite", "{database: sqlite, path: a.db}", 'main."Mart"', ("main", "Mart")),
        ("mysql", "{database: mysql, url: '${U}'}", "`mart`.`a``b`", ("mart", "a`b")),
        ("mysql", "{database: mariadb, url: '${U}'}", "`mart`.`Guests`", ("mart", "Guests")),
        ("duckdb", "{database: duckdb, path: a.duckdb}", '"db"."main"."a""b.c"', ("db", "main", 'a"b.c')),
        ("redshift", "{database: redshift, url: '${U}'}", '"db"."Mart".GUESTS', ("db", "Mart", "guests")),
        ("redshift", POSTGRES, '"db"."mart"."guests"', ("db", "mart", "guests")),
    ],
)
def test_names_are_those_that_the_adapter_quotes(
    shop: Workshop, adapter: str, database: str, relation: str, names: tuple[str, ...]
) -> None:
    _edit(shop, lambda content: content["metadata"].update(adapter_type=adapter))
    _edit(shop, lambda content: content["nodes"]["model.shop.mart_guests"].update(relation_name=relation))
    assert _query(shop, "mart_guests", database=database).table == names


@pytest.mark.parametrize(
    ("model", "message", "advice"),
    [
        ("mart_gests", 'the manifest has no model "mart_gests"', 'did you mean "mart_guests"?'),
        ("orders", 'the manifest has no model "orders"', "source.table"),
        ("versioned.v3", 'the manifest has no model "versioned.v3"', "a model, seed or snapshot"),
        ("eph", 'the manifest says that "eph" is ephemeral', "materialized='view'"),
        ("off", 'the manifest says that "off" is disabled', "enable it in dbt"),
        ("${MODEL}", '"model" with ${...}, which never becomes SQL', ""),
    ],
)
def test_models_without_a_relation_are_refused_at_their_place(
    shop: Workshop, model: str, message: str, advice: str
) -> None:
    (problem,) = shop.problems(_text(shop, model))
    assert problem.startswith("jobs.yaml:13:77: ")
    assert message in problem
    assert advice in problem


def _set_metadata(**values: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["metadata"].update(values)


def _version(number: int) -> str:
    return f"https://schemas.getdbt.com/dbt/manifest/v{number}.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set_metadata(dbt_schema_version=_version(3)), "has schema version v3, which is too old"),
        (_set_metadata(dbt_schema_version="https://example.com"), "is not as dbt writes it"),
        (_set_metadata(adapter_type="snowflake"), 'is of the adapter "snowflake", and the connection is a postgres'),
        (lambda content: content.pop("metadata"), "is not as dbt writes it"),
        (lambda content: content.update(nodes=[1]), "is not as dbt writes it"),
        (lambda content: content.update(nodes={"a": 1}), "is not as dbt writes it"),
        (lambda content: content["nodes"]["model.shop.mart_guests"].update(relation_name=None), "has no relation of"),
        (lambda content: content["nodes"]["model.shop.mart_guests"].update(relation_name="a; DROP TABLE b"),
         "has no relation of"),
        (lambda content: content["nodes"]["model.shop.mart_guests"].update(relation_name='"a".'), "has no relation of"),
        (lambda content: content["nodes"].update(
            other=content["nodes"]["model.shop.mart_guests"] | {"package_name": "p", "unique_id": "model.p.x"}),
         "has several nodes called"),
    ],
    ids=["v3", "other", "adapter", "metadata", "list", "number", "null", "statement", "dot", "several"],
)  # fmt: skip
def test_manifests_that_cannot_be_used_are_refused(
    shop: Workshop, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    _edit(shop, change)
    (problem,) = shop.problems(_text(shop, "mart_guests"))
    assert f"the manifest {message}" in problem


@pytest.mark.parametrize("number", [4, 7, 12, 20])
def test_later_schema_versions_are_read(shop: Workshop, number: int) -> None:
    _edit(shop, _set_metadata(dbt_schema_version=_version(number)))
    assert _query(shop, "mart_guests").table[-1] == "mart_guests"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the manifest is not there"),
        (b"{", "the manifest is not JSON"),
        (b"\xff\xfe", "the manifest is not JSON"),
        (b"[" * 100_000, "the manifest is not JSON"),
        (b"[]", "the manifest is not as dbt writes it"),
        (b"x" * 200, "the manifest is larger than 0 MiB"),
    ],
    ids=["missing", "cut", "bytes", "nested", "list", "large"],
)
def test_files_that_are_no_manifest_are_refused_with_the_command_to_type(
    shop: Workshop, content: bytes | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.path.parent / "target" / "manifest.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    if "larger" in message:
        monkeypatch.setattr(dbt_manifest, "MANIFEST_BYTES", 100)
    (problem,) = shop.problems(_text(shop, "mart_guests"))
    assert problem.startswith("jobs.yaml:13:48: ")
    assert message in problem
    assert "`dbt compile`" in problem or "table: mart.guests" in problem


def test_manifest_is_below_the_roots_and_a_regular_file(shop: Workshop) -> None:
    text = _text(shop, "mart_guests", manifest="../manifest.json")
    found = shop.problems(text, fence=PathFence((str(shop.path.parent),)))
    assert any('"manifest" is outside' in problem for problem in found)
    os.mkfifo(shop.path.parent / "pipe.json")
    (problem,) = shop.problems(_text(shop, "mart_guests", manifest="pipe.json"))
    assert '"manifest" is no regular file' in problem


def test_only_another_relation_edits_the_job(shop: Workshop) -> None:
    def loaded() -> Any:
        (job,) = (job for job in shop.load(_text(shop, "mart_guests")).jobs if job.name == "guests")
        return job

    before = loaded()
    _edit(shop, _set_metadata(dbt_version="1.9.12"))
    assert loaded() == before
    _edit(shop, lambda content: content["nodes"]["model.shop.mart_guests"].update(relation_name='"shopdb"."prod"."g"'))
    after = loaded()
    assert after.spec_hash != before.spec_hash
    assert after.removal_hash != before.removal_hash
    assert after.mapping_hash == before.mapping_hash


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("connection: shop, dbt: {model: a}", 'has no "manifest"'),
        ("connection: shop, dbt: {manifest: a.json}", 'has no "model"'),
        ("connection: shop, dbt: {manifest: a.json, modle: a}", 'did you mean "model"?'),
        ("dbt: {manifest: a.json, model: a}", '"source" has "dbt" without "connection"'),
        ("connection: shop, table: a, dbt: {manifest: a.json, model: a}", '"source" has both table and dbt'),
        ("connection: shop, dbt: mart_guests", '"dbt"'),
    ],
)
def test_incomplete_blocks_are_refused(shop: Workshop, source: str, message: str) -> None:
    text = shop.changed(("  cars:\n", f"  shop: {POSTGRES}\n  cars:\n"), ("{path: guests.csv,", f"{{{source},"))
    assert any(message in problem for problem in shop.problems(text))
