"""JSON Schema of jobs.yaml for editors, generated from the pydantic models of the file and from vendor specs."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from batchsync.errors import BatchsyncError
from batchsync.spec import json_schema_rules as rules
from batchsync.spec.field_types import source_formats
from batchsync.spec.json_schema_rules import lacks, when
from batchsync.spec.json_schema_vendors import INDIRECT, DeclaredNames, VendorConditions
from batchsync.spec.models import DocumentModel
from batchsync.spec.vendor_spec import available_vendors, load_vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.vendor_rules import VendorRules

#: Name of the generated schema file in the data package `batchsync_specs`.
SCHEMA_FILE = "jobs.schema.json"

_REFERENCE = {"$ref": "#/$defs/RecordValue"}
_RECORD_VALUE: dict[str, Any] = {
    "title": "Value of a record",
    "description": "A literal, an expression (a string that begins with =), an object, a list, or "
    "[{each: ...}], whose items order_by orders.",
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {"type": "object", "additionalProperties": _REFERENCE, "minProperties": 1},
        {"type": "array", "items": _REFERENCE, "minItems": 1},
    ],
    "examples": ["=lower(EmailAddress)", "customer", [{"provider": "CRM", "id": "=CustomerKey"}]],
}


#: Jobs, and those of their blocks that are merged key by key and have required keys.
_PARTIAL = ("JobModel", "SourceModel", "TargetModel", "ResultsModel")


def jobs_schema(declared: DeclaredNames | None = None) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of jobs.yaml. It allows no nulls: a key without a value is an error.

    Args:
        declared: Names of a jobs file, which become the values of the keys that refer to them; None for a schema of
            every jobs file.

    Returns:
        The schema. It refuses no file that `validate` accepts; with `declared`, no such file with the same names.
    """
    schema: dict[str, Any] = _without_nulls(DocumentModel.model_json_schema())
    definitions = schema["$defs"]
    definitions["RecordValue"] = _RECORD_VALUE
    for name in ("JobModel", "RemovalModel"):
        definitions[name]["properties"]["record"]["additionalProperties"] = _REFERENCE
    for item in definitions.values():
        for field in item.get("properties", {}).values():
            # Pydantic omits titles and descriptions that the referenced block has as well; editors show the field's.
            if "$ref" in field:
                block = definitions[field["$ref"].rpartition("/")[2]]
                field |= {name: block[name] for name in ("title", "description") if name not in field}
    for name in ("connections", "jobs"):
        schema["properties"][name] |= {"propertyNames": rules.names_schema(), "minProperties": 1}
    schema["properties"]["connections"]["additionalProperties"] = rules.connection_schema()
    source, join = definitions["SourceModel"], definitions["JoinModel"]
    join["oneOf"] = [
        {"required": ["path"]},
        {"required": ["connection", "query"]},
        {"required": ["connection", "table"]},
        {"required": ["connection", "dbt"]},
        {"required": ["delta"]},
    ]
    source["oneOf"] = [{"required": ["job"]}, *join["oneOf"]]
    source["properties"]["format"]["enum"] = source_formats()
    _add_partial_blocks(schema)
    definitions["ScheduleModel"]["oneOf"] = [{"required": ["cron"]}, {"required": ["every"]}]
    for name in ("version", "threads", "memory"):
        schema["properties"][name] = rules.with_references(schema["properties"][name])
    schema["properties"]["executor"]["anyOf"] = [
        rules.with_references(form) | _with_references_below(form) for form in schema["properties"]["executor"]["anyOf"]
    ]
    rules.add_rules(definitions)
    VendorConditions(_vendors(declared), definitions).add(schema, declared)
    _allow_partial_jobs(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _with_references_below(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a schema, which accept references, too."""
    found = {name: rules.with_references(item) for name, item in schema.get("properties", {}).items()}
    return {"properties": found} if found else {}


def _add_partial_blocks(schema: dict[str, Any]) -> None:
    """Describe defaults and environments: jobs and connections of which any key may be left out."""
    blocks = schema["$defs"]
    partial: dict[str, Any] = {}
    for name in _PARTIAL:
        found = {key: value for key, value in blocks[name].items() if key not in {"required", "oneOf"}}
        partial[f"Partial{name}"] = _referring(found)
    blocks |= partial
    properties = schema["properties"]
    properties["defaults"] |= {"$ref": "#/$defs/PartialJobModel", "not": {"required": ["renamed_from"]}}
    properties["defaults"].pop("type")
    top = ("state", "retention", "alerts", "threads", "memory", "executor")
    environment = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "connections": {
                "title": "Connections",
                "description": "Keys of connections that are other here, by name.",
                "examples": [{"sitecore": {"base_url": "https://api.example.com"}}],
                "type": "object",
                "additionalProperties": {"type": "object"},
            },
            "jobs": {
                "title": "Jobs",
                "description": "Keys of jobs that are other here, by name; merged as defaults are.",
                "examples": [{"guests": {"source": {"path": "data/test.csv"}}}],
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/PartialJobModel"},
            },
            **{name: properties[name] for name in top},
        },
    }
    properties["environments"]["additionalProperties"] = environment


def _referring(node: Any) -> Any:
    """Return a schema whose references to models with a partial form refer to that."""
    if isinstance(node, list):
        return [_referring(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _referring(value) for key, value in node.items()}
    name = str(found.get("$ref", "")).rpartition("/")[2]
    return found | {"$ref": f"#/$defs/Partial{name}"} if name in _PARTIAL else found


def _allow_partial_jobs(schema: dict[str, Any]) -> None:
    """Let jobs lack keys where defaults, environments or other files may have them, and files lack what others have."""
    jobs = schema["properties"]["jobs"]
    whole = {"properties": {"jobs": {"additionalProperties": jobs["additionalProperties"]}}}
    jobs["additionalProperties"] = {"$ref": "#/$defs/PartialJobModel"}
    # A folder of jobs, which is an option of the command, may have all of them.
    schema["required"] = [name for name in schema["required"] if name not in {"connections", "jobs"}]
    schema["allOf"].append(when(lacks(*INDIRECT), whole))


def _vendors(declared: DeclaredNames | None) -> dict[str, VendorRules]:
    """Return the available vendors by name, and those of the accounts of a jobs file."""
    found = {}
    for name in available_vendors():
        # What is wrong in an installed vendor is reported where a connection names it.
        with suppress(BatchsyncError):
            found[name] = load_vendor(name)
    others: Mapping[str, VendorRules | None] = declared.accounts if declared is not None else {}
    return {rules.name: rules for rules in others.values() if rules is not None} | found


def jobs_schema_text(declared: DeclaredNames | None = None) -> str:
    """Return the content of `specs/batchsync_specs/jobs.schema.json`, or of the schema of a jobs file.

    Each definition is one line: editors load the file often, and blanks would be half of it.
    """
    schema = jobs_schema(declared)
    definitions = ",\n".join(f"{_compact(name)}:{_compact(item)}" for name, item in schema.pop("$defs").items())
    rest = ",\n".join(f"{_compact(name)}:{_compact(item)}" for name, item in schema.items())
    return f'{{{rest},\n"$defs":{{\n{definitions}\n}}}}\n'


def _compact(node: Any) -> str:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))


def _without_nulls(node: Any) -> Any:
    """Return the schema without alternatives and defaults that represent None."""
    if isinstance(node, list):
        return [_without_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    bare = {name: value for name, value in node.items() if not (name == "default" and isinstance(value, dict | None))}
    kept = {name: _without_nulls(value) for name, value in bare.items()}
    if isinstance(kept.get("anyOf"), list):
        forms = [item for item in kept["anyOf"] if item != {"type": "null"}]
        if len(forms) == 1:
            kept.pop("anyOf")
            kept = {**forms[0], **kept}
        else:
            kept["anyOf"] = forms
    return kept
