"""Writes the JSON Schema of jobs.yaml for editors, from the same models that read it.

It does not know where the schema is kept; who writes the file compares it with `jobs_schema_text`.
"""

from __future__ import annotations

import json
from typing import Any

from lading.spec.models import DocumentModel
from lading.spec.words import NAME_PATTERN

#: Where the schema of jobs.yaml stands in the data package `lading_specs`.
SCHEMA_FILE = "jobs.schema.json"

_REFERENCE = {"$ref": "#/$defs/RecordValue"}
_RECORD_VALUE: dict[str, Any] = {
    "title": "Value of a record",
    "description": "A literal, an expression (a text that begins with =), an object, a list, or [{each: ...}].",
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {"type": "object", "additionalProperties": _REFERENCE},
        {"type": "array", "items": _REFERENCE},
    ],
    "examples": ["=lower(EmailAddress)", "customer", [{"provider": "CRM", "id": "=CustomerKey"}]],
}


def jobs_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of jobs.yaml. Nulls are not in it: a key without value is an error."""
    schema: dict[str, Any] = _without_nulls(DocumentModel.model_json_schema())
    schema["$defs"]["RecordValue"] = _RECORD_VALUE
    for name in ("JobModel", "RemovalModel"):
        schema["$defs"][name]["properties"]["record"]["additionalProperties"] = _REFERENCE
    for one in schema["$defs"].values():
        for field in one.get("properties", {}).values():
            # Pydantic leaves words out that the block it refers to has as well; editors show those of the field.
            if "$ref" in field:
                block = schema["$defs"][field["$ref"].rpartition("/")[2]]
                field |= {name: block[name] for name in ("title", "description") if name not in field}
    for name in ("connections", "jobs"):
        schema["properties"][name] |= {"propertyNames": {"pattern": NAME_PATTERN}, "minProperties": 1}
    source = schema["$defs"]["SourceModel"]
    source["oneOf"] = [{"required": ["path"]}, {"required": ["job"]}]
    schema["$defs"]["ScheduleModel"]["oneOf"] = [{"required": ["cron"]}, {"required": ["every"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def jobs_schema_text() -> str:
    """Return exactly what `specs/lading_specs/jobs.schema.json` must contain."""
    return json.dumps(jobs_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_nulls(node: Any) -> Any:
    """Return the schema without the alternatives and defaults that only Python's None needs."""
    if isinstance(node, list):
        return [_without_nulls(one) for one in node]
    if not isinstance(node, dict):
        return node
    bare = {name: value for name, value in node.items() if not (name == "default" and isinstance(value, dict | None))}
    kept = {name: _without_nulls(value) for name, value in bare.items()}
    if isinstance(kept.get("anyOf"), list):
        forms = [one for one in kept["anyOf"] if one != {"type": "null"}]
        if len(forms) == 1:
            kept.pop("anyOf")
            kept = {**forms[0], **kept}
        else:
            kept["anyOf"] = forms
    return kept
