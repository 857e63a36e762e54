"""Rules of jobs.yaml as JSON Schema: forms of values, and conditions across the keys of a block.

The checks of the compilers decide; these rules repeat the part of them that a JSON Schema can express, so that an
editor shows a mistake where it is made. Each rule accepts every value that the compilers accept. Values with references
(`${NAME}`) are not judged: they stand for any value.
"""

from __future__ import annotations

import re
from typing import Any

from batchsync.core.query import FILE_KINDS, KINDS
from batchsync.core.source_path import BUNDLED_FORMATS, COMPRESSIONS
from batchsync.spec.check_names import RESERVED_NAMES
from batchsync.spec.compile_database import OF_FILES, OF_SERVERS, OF_URL
from batchsync.spec.compile_source import RESULT_ENDINGS
from batchsync.spec.compile_storage import ALLOWED_KEYS, CREDENTIAL_SETS, NEEDED_KEYS, SPECIFIC_KEYS
from batchsync.spec.credentials import CREDENTIAL_PATTERN, PROXY_PATTERN
from batchsync.spec.field_types import NAME_PATTERN, TEXT_MAX, source_formats

Schema = dict[str, Any]

#: Definition of a value that contains a reference.
REFERENCE = {"$ref": "#/$defs/Reference"}
REFERENCE_SCHEMA: Schema = {
    "title": "Reference",
    "description": "${NAME}, the value of an environment variable, or ${NAME:-default}.",
    "type": "string",
    "pattern": r"\$\{",
}
#: Keys whose values are used as written, by model: no environment variable is substituted.
_AS_WRITTEN = {
    "ConnectionModel": {"credentials", "proxy"},
    "DatabaseModel": {"url", "password"},
    "StorageModel": {"credentials", "proxy"},
    "SourceModel": {"query", "table"},
    "JoinModel": {"query", "table"},
    "DbtModel": {"model"},
    "WebhookModel": {"url", "secret", "proxy"},
    "EmailModel": {"user", "password"},
    "AppriseModel": {"apprise"},
    "AlertsModel": {"ping", "proxy"},
}
_ANNOTATIONS = frozenset({"title", "description", "examples", "default"})
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def _any_case(text: str) -> str:
    """Return a pattern of a text in any case."""
    return "".join(f"[{char}{char.upper()}]" if char.islower() else re.escape(char) for char in text)


def _one_of(texts: Any) -> str:
    return "|".join(map(_any_case, texts))


LOCAL_HOSTS = rf"{_any_case('localhost')}|127\.[0-9.]+|\[[0-9A-Fa-f:.]+\]"
#: A URL: https, or http on this machine, without user, query and fragment.
URL = rf"^(?:{_any_case('https')}://[^/?#@]+|{_any_case('http')}://(?:{LOCAL_HOSTS})(?::[0-9]*)?)(?:/[^?#]*)?$"
_COMPRESSED = f"(?:{_one_of(COMPRESSIONS)})?"
_STATEMENT = (
    rf"^[\s(]*(?:(?:{_one_of(('select', 'with', 'values', 'table'))})(?![A-Za-z0-9_])|--|/\*)|\.[sS\u017f][qQ][lL]$"
)
#: Fields of a cron line. Names of months and days are in any case.
_CRON_FIELD = r"[0-9A-Za-z*/,#-]+"
_MINUTE, _HOUR = "0*[0-5]?[0-9]", "0*(?:1?[0-9]|2[0-3])"


def _cron_times(value: str) -> str:
    """Return the pattern of the minutes or hours of a cron line."""
    item = rf"(?:\*|{value}(?:-{value})?)(?:/[0-9]+)?"
    return f"{item}(?:,{item})*"


_FORMS: dict[str, dict[str, Schema]] = {
    "ConnectionModel": {
        "base_url": {"pattern": URL},
        "proxy": {"pattern": PROXY_PATTERN},
        "credentials": {"additionalProperties": {"type": "string", "pattern": CREDENTIAL_PATTERN}},
    },
    "DatabaseModel": {"url": {"pattern": CREDENTIAL_PATTERN}, "password": {"pattern": CREDENTIAL_PATTERN}},
    "WebhookModel": {
        "url": {"pattern": CREDENTIAL_PATTERN},
        "secret": {"pattern": CREDENTIAL_PATTERN},
        "proxy": {"pattern": PROXY_PATTERN},
    },
    "EmailModel": {"user": {"pattern": CREDENTIAL_PATTERN}, "password": {"pattern": CREDENTIAL_PATTERN}},
    "AppriseModel": {"apprise": {"items": {"type": "string", "pattern": CREDENTIAL_PATTERN}}},
    "AlertsModel": {"ping": {"pattern": CREDENTIAL_PATTERN}, "proxy": {"pattern": PROXY_PATTERN}},
    "StorageModel": {
        "bucket": {"pattern": r"^[a-z0-9A-Z$][a-zA-Z0-9._-]{1,221}$"},
        "account": {"pattern": "^[a-z0-9]{3,24}$"},
        "region": {"pattern": "^[a-z0-9-]{2,40}$"},
        "endpoint": {"pattern": URL},
        "base_url": {"pattern": URL},
        "proxy": {"pattern": PROXY_PATTERN},
        "credentials": {"additionalProperties": {"type": "string", "pattern": CREDENTIAL_PATTERN}},
    },
    "SourceModel": {
        "delimiter": {"pattern": r"""^[^A-Za-z0-9"'\\\r\n\u0000\u0080-\uffff]$"""},
        "quote": {"pattern": r"^[!-/:-@\[-`{-~]?$"},
        "escape": {"pattern": r"^[!-/:-@\[-`{-~]$"},
        "encoding": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"},
        "query": {"pattern": _STATEMENT},
        "table": {"pattern": r"^[^.]+(?:\.[^.]+)?$"},
    },
    "JoinModel": {"query": {"pattern": _STATEMENT}, "table": {"pattern": r"^[^.]+(?:\.[^.]+)?$"}},
    "ScheduleModel": {
        "cron": {"pattern": rf"^\s*{_cron_times(_MINUTE)}\s+{_cron_times(_HOUR)}(?:\s+{_CRON_FIELD}){{3}}\s*$"},
        "timezone": {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$"},
    },
}


def has(*names: str) -> Schema:
    """Return the schema of an object with these keys."""
    return {"required": [*names]}


def is_set(name: str, *, to: bool) -> Schema:
    """Return the schema of an object whose key has this boolean."""
    return {"properties": {name: {"const": to}}, **has(name)}


def lacks(*names: str) -> Schema:
    """Return the schema of an object with none of these keys."""
    return {"not": {"anyOf": [has(name) for name in names]}}


def equals(name: str, *values: object) -> Schema:
    """Return the schema of an object whose key has one of these values."""
    return {"properties": {name: {"enum": [*values]}}, **has(name)}


def when(condition: Schema, then: Schema, otherwise: Schema | None = None) -> Schema:
    """Return a conditional schema."""
    return {"if": condition, "then": then, **({"else": otherwise} if otherwise is not None else {})}


def or_reference(schema: Schema) -> Schema:
    """Return the schema of a value, or of a reference to it."""
    annotations = {name: value for name, value in schema.items() if name in _ANNOTATIONS}
    rules = {name: value for name, value in schema.items() if name not in _ANNOTATIONS}
    return {**annotations, "anyOf": [*(rules["anyOf"] if set(rules) == {"anyOf"} else [rules]), REFERENCE]}


def add_rules(definitions: dict[str, Schema]) -> None:
    """Add forms and conditions to the schemas of the models, and allow references wherever they are substituted.

    Args:
        definitions: Schemas of the models by name; changed in place.
    """
    for model, forms in _FORMS.items():
        for name, form in forms.items():
            definitions[model]["properties"][name] |= form
    definitions["Reference"] = REFERENCE_SCHEMA
    for model, schema in definitions.items():
        for name, item in schema.get("properties", {}).items():
            if name not in _AS_WRITTEN.get(model, ()):
                schema["properties"][name] = with_references(item)
    for model, rules in _conditions().items():
        definitions[model]["allOf"] = [*definitions[model].get("allOf", ()), *rules]


def with_references(schema: Schema) -> Schema:
    """Return a schema that also accepts a reference in place of each scalar that it restricts."""
    if schema.get("type") == "array":
        items = schema.get("items")
        return schema | ({"items": with_references(items)} if items is not None else {})
    if schema.get("type") == "object":
        below = schema.get("additionalProperties")
        return schema | ({"additionalProperties": with_references(below)} if isinstance(below, dict) else {})
    if "anyOf" in schema:
        forms = [with_references(form) for form in schema["anyOf"]]
        # References of the alternatives are one alternative of the whole.
        flat = [form for item in forms for form in (item["anyOf"] if _is_referenced(item) else [item])]
        return schema | {"anyOf": [form for index, form in enumerate(flat) if form not in flat[:index]]}
    is_scalar = bool(_types(schema) & _SCALARS) or "enum" in schema or "const" in schema
    return or_reference(schema) if is_scalar and not _takes_references(schema) else schema


def _types(schema: Schema) -> set[str]:
    """Return the JSON types that a schema names."""
    found = schema.get("type", ())
    return {found} if isinstance(found, str) else {*found}


def _takes_references(schema: Schema) -> bool:
    """Return whether a schema accepts all references, because it accepts every string of some length."""
    narrow = {"pattern", "enum", "const"} & set(schema)
    return "string" in _types(schema) and not narrow and schema.get("maxLength", TEXT_MAX) >= TEXT_MAX


def _is_referenced(schema: Schema) -> bool:
    return REFERENCE in schema.get("anyOf", ())


def names_schema() -> Schema:
    """Return the schema of the names of jobs and connections."""
    return {"pattern": NAME_PATTERN, "not": {"enum": sorted(RESERVED_NAMES)}}


def connection_schema() -> Schema:
    """Return the schema of a connection: storage, a database, or an account of a vendor."""
    database = when(has("database"), {"$ref": "#/$defs/DatabaseModel"}, {"$ref": "#/$defs/ConnectionModel"})
    return {"type": "object", **when(has("storage"), {"$ref": "#/$defs/StorageModel"}, database)}


def _conditions() -> dict[str, list[Schema]]:
    """Return the conditions across the keys of each block."""
    return {
        "ConnectionModel": [],
        "DatabaseModel": _of_databases(),
        "StorageModel": _of_storage(),
        "SourceModel": _of_sources(),
        "JoinModel": [*_of_workbooks(own_format=False), *_of_tables()],
        "ResultsModel": _of_results(),
        "ScheduleModel": [when({"allOf": [has("every"), lacks("window", "quiet")]}, lacks("timezone"))],
        "JobModel": _of_jobs(),
    }


def _of_databases() -> list[Schema]:
    is_file = equals("database", *sorted(FILE_KINDS))
    is_server = equals("database", *(kind for kind in KINDS if kind not in FILE_KINDS))
    server = {"anyOf": [{**has("url"), **lacks(*OF_URL)}, {**has("host", "dbname"), **lacks("url")}]}
    return [
        when(is_file, lacks(*OF_SERVERS)),
        when(is_server, {"allOf": [lacks(*OF_FILES), server]}),
        when(equals("database", "sqlite"), has("path")),
    ]


def _of_storage() -> list[Schema]:
    found = []
    for kind, needed in NEEDED_KEYS.items():
        sets = [
            {"required": [*names], "maxProperties": len(names), "propertyNames": {"enum": [*names]}}
            for names in CREDENTIAL_SETS[kind]
        ]
        rules: list[Schema] = [has(*needed), {"properties": {"credentials": {"anyOf": sets}}}]
        if others := [name for name in SPECIFIC_KEYS if name not in ALLOWED_KEYS[kind]]:
            rules.append(lacks(*others))
        found.append(when(equals("storage", kind), {"allOf": rules}))
    return [*found, when(is_set("anonymous", to=True), lacks("credentials"))]


def _ending(formats: Any) -> str:
    """Return the pattern of the paths of files of these formats."""
    return rf"(?:{_one_of(formats)}){_COMPRESSED}$"


def _of_sources() -> list[Schema]:
    bundled = [ending for endings in BUNDLED_FORMATS.values() for ending in endings]
    endings = [*bundled, *(f".{name}" for name in source_formats() if name not in BUNDLED_FORMATS)]
    # A path that is not ASCII may have other spellings of an ending.
    path = {"anyOf": [{"pattern": rf"{_ending(endings)}|^[a-z][a-z0-9+.-]*://|[^\u0000-\u007f]"}, REFERENCE]}
    columns: Schema = {"properties": {"columns": {"type": "array"}}, **has("columns")}
    typed = [name for name in BUNDLED_FORMATS if name != "csv"]
    typed_path = _ending([ending for name in typed for ending in BUNDLED_FORMATS[name]])
    of_typed = {"anyOf": [equals("format", *typed), _path(typed_path)]}
    of_csv = ("header", "skip_rows", "comment", "quote", "escape")
    headless: Schema = {"properties": {"header": or_reference({"const": False})}, **has("header")}
    return [
        {"dependentRequired": {"version": ["delta"]}},
        when({**has("path"), **lacks("format")}, {"properties": {"path": path}}),
        when(has("job"), lacks("format", "delimiter", "encoding", *of_csv)),
        when({"anyOf": [has("query"), has("table"), has("dbt")]}, lacks("format", "header", "skip_rows", "comment")),
        when(has("delta"), lacks("format", *of_csv, "sheet", "range")),
        when(of_typed, lacks(*of_csv)),
        when(columns, headless),
        when(is_set("header", to=False), has("columns")),
        when(has("since"), {"anyOf": [has("query"), has("table"), has("dbt")]}),
        when(
            {**has("on_breach"), **lacks("freshness")},
            {"properties": {"columns": {"type": "object"}}, **has("columns")},
        ),
        *_of_workbooks(own_format=True),
    ]


def _path(pattern: str) -> Schema:
    """Return the schema of a block without a format, whose path matches a pattern."""
    return {
        "properties": {"path": {"type": "string", "pattern": pattern, "not": REFERENCE}},
        **has("path"),
        **lacks("format"),
    }


def _of_workbooks(*, own_format: bool) -> list[Schema]:
    """Return the rule that only a workbook has a sheet and a range."""
    endings = BUNDLED_FORMATS["excel"]
    named = {
        "properties": {"path": {"anyOf": [{"pattern": rf"{_ending(endings)}|[^\u0000-\u007f]"}, REFERENCE]}},
        **has("path"),
    }
    declared = {"properties": {"format": or_reference({"const": "excel"})}, **has("format")}
    return [when({"anyOf": [has("sheet"), has("range")]}, {"anyOf": [named, declared]} if own_format else named)]


def _of_tables() -> list[Schema]:
    return [{"dependentRequired": {"version": ["delta"]}}]


def _of_results() -> list[Schema]:
    def ending(*kinds: str) -> str:
        texts = [text for text, kind in RESULT_ENDINGS.items() if kind in kinds]
        return rf"(?:{_one_of(texts)})(?:/|/\.)*$"

    known = {"anyOf": [{"pattern": rf"{ending(*RESULT_ENDINGS.values())}|[^\u0000-\u007f]"}, REFERENCE]}
    is_sqlite = {"anyOf": [equals("format", "sqlite"), _path(ending("sqlite"))]}
    others = {"anyOf": [equals("format", "csv", "parquet", "jsonl"), _path(ending("csv", "parquet", "jsonl"))]}
    return [
        when(lacks("format"), {"properties": {"path": known}}),
        when(is_sqlite, {**has("table"), **lacks("connection")}),
        when(others, lacks("table")),
    ]


def _of_jobs() -> list[Schema]:
    """Return what a job cannot have that does not see, or cannot name, the keys that left its source."""
    source: Schema = {"anyOf": [has("since"), has("job")]}
    blind = {"anyOf": [_send_since(), {"properties": {"source": source}, **has("source")}]}
    computed: Schema = {"properties": {"key": {"type": "string", "pattern": "^=(?!=)"}}, **has("key")}
    nothing = {"properties": {"on_removed": or_reference({"const": "ignore"})}}
    kept = {"properties": {"results": {"properties": {"on_removed": or_reference({"const": "keep"})}}}}
    piped: Schema = {"properties": {"source": equals("path", "-")}, **has("source")}
    return [
        when(blind, {"allOf": [nothing, kept]}),
        when({"properties": {"source": computed}, **has("source")}, nothing),
        when(piped, lacks("schedule")),
    ]


def _send_since() -> Schema:
    return {"properties": {"send": {"type": "object"}}, **has("send")}
