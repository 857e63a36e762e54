"""The JSON Schema of jobs.yaml is complete and equivalent to the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batchsync.spec import jobs_schema, jobs_schema_text

if TYPE_CHECKING:
    from collections.abc import Iterator


def objects(node: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and schema of every object with properties."""
    if isinstance(node, dict):
        if "properties" in node:
            yield at, node
        for name, child in node.items():
            yield from objects(child, f"{at}/{name}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from objects(child, f"{at}/{number}")


def test_every_field_has_a_title_a_description_and_an_example() -> None:
    for at, schema in objects(jobs_schema()):
        for name, item in schema["properties"].items():
            assert {"title", "description", "examples"} <= set(item), f"{at}/{name}"


def test_unknown_keys_are_refused_except_in_target() -> None:
    found = {at.rpartition("/")[2]: schema["additionalProperties"] for at, schema in objects(jobs_schema())}
    for name in ("TargetModel", "PartialTargetModel"):
        assert found.pop(name) == {"type": "string"}
    assert found
    assert set(found.values()) == {False}


def test_schema_is_of_2020_12_and_has_no_nulls() -> None:
    text = jobs_schema_text()
    assert jobs_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert '"null"' not in text
    assert ": null" not in text


def test_every_reference_is_defined() -> None:
    schema = jobs_schema()
    for reference in jobs_schema_text().split('"#/$defs/')[1:]:
        assert reference.partition('"')[0] in schema["$defs"]


def test_schema_text_is_deterministic() -> None:
    assert jobs_schema_text() == jobs_schema_text()
    assert json.loads(jobs_schema_text()) == jobs_schema()
    assert jobs_schema_text().endswith("}\n")
