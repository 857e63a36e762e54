"""The JSON Schema of jobs.yaml is complete and equivalent to the models."""

from __future__ import annotations

import json
from importlib.resources import files

from batchsync.spec import SCHEMA_FILE, jobs_schema, jobs_schema_text

#: Models of blocks; the other definitions, whose names have dots, are those of vendors.
BLOCKS = {
    name: block
    for name, block in {"": jobs_schema(), **jobs_schema()["$defs"]}.items()
    if "properties" in block and "." not in name
}


def test_every_field_has_a_title_a_description_and_an_example() -> None:
    for at, schema in BLOCKS.items():
        for name, item in schema["properties"].items():
            assert {"title", "description", "examples"} <= set(item), f"{at}/{name}"


def test_unknown_keys_are_refused_except_in_target() -> None:
    # Keys of a connection depend on its vendor, whose own schema lists them.
    found = {at: schema["additionalProperties"] for at, schema in BLOCKS.items() if at != "ConnectionModel"}
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


def test_bundled_schema_is_the_generated_one() -> None:
    bundled = (files("batchsync_specs") / SCHEMA_FILE).read_text(encoding="utf-8")
    assert bundled == jobs_schema_text(), "run `batchsync schema --write`"
