"""JSON Schemas of the JSON output of commands, from the members that `output_members` documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsync.report.envelope import SCHEMA_VERSION
from batchsync.report.output_members import OBJECTS
from batchsync.report.output_results import DOCUMENTS, EVENTS, RESULTS
from batchsync.report.text_format import markdown_table

if TYPE_CHECKING:
    from batchsync.report.output_members import Members

Schema = dict[str, Any]

_TYPES: dict[str, Schema] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "time": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
    "object": {"type": "object"},
    "any": {},
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def commands_with_output() -> tuple[str, ...]:
    """Return the commands whose result is described."""
    return tuple(RESULTS)


def output_schema(command: str, *, closed: bool = False) -> Schema:
    """Return the JSON Schema of what a command prints with `-o json`.

    Args:
        command: Name of the command, such as `plan` or `state init`.
        closed: Whether members that are not described are refused. Later versions may add members, so that a program
            that reads the output should not refuse them.

    Returns:
        The schema of the envelope with the result of the command.
    """
    forms = [_object(members, closed=closed) for members in RESULTS[command]]
    forms += [{"type": "object", "required": ["$schema"]}] if command in DOCUMENTS else []
    members = OBJECTS["envelope"]
    envelope = _object(members, closed=closed)
    envelope["properties"] |= {
        "schema_version": {"const": SCHEMA_VERSION, "description": members["schema_version"][1]},
        "command": {"const": command},
        "result": {"description": members["result"][1], "anyOf": [*forms, {"type": "null"}]},
    }
    return {
        "$schema": _DIALECT,
        "title": f"batchsync {command} -o json",
        **envelope,
        "$defs": _definitions(closed=closed),
    }


def lines_schema(*, closed: bool = False) -> Schema:
    """Return the JSON Schema of a line that a command prints with `-o ndjson`; `closed` as in `output_schema`."""
    event = {"properties": {"event": {"enum": [*EVENTS]}}}
    rules = []
    for name, forms in EVENTS.items():
        extra: Members = {"event": ("text", "Kind of the line."), "timestamp": ("time", "When it was written.")}
        then = [_object(extra | members, closed=closed) for members in forms]
        rules.append(
            {"if": {"properties": {"event": {"const": name}}}, "then": then[0] if len(then) == 1 else {"anyOf": then}}
        )
    return {
        "$schema": _DIALECT,
        "title": "A line of batchsync -o ndjson",
        "type": "object",
        "required": ["event", "timestamp"],
        **event,
        "allOf": rules,
        "$defs": _definitions(closed=closed),
    }


def output_page() -> str:
    """Return the description of all JSON output as Markdown."""
    parts = ["## Envelope", "", _table(OBJECTS["envelope"]), "", "## Results"]
    for command, forms in RESULTS.items():
        parts += ["", f"### `{command}`"]
        parts += ["", "The schema itself, or with --write:"] if command in DOCUMENTS else []
        for number, members in enumerate(forms):
            parts += ["", *(["or", ""] if number else []), _table(members)]
    parts += ["", "## Lines of NDJSON", "", "Every line has `event` and `timestamp`; the last one is `finished`."]
    for event, forms in EVENTS.items():
        name = next((name for name, members in OBJECTS.items() if members is forms[0]), "")
        if name and len(forms) == 1:
            parts += ["", f"**{event}**: the members of {name}."]
        else:
            parts += ["", f"**{event}**", "", "\n\nor\n\n".join(_table(members) for members in forms)]
    parts += ["", "## Objects"]
    for name, members in OBJECTS.items():
        parts += ["", f"**{name}**", "", _table(members)]
    return "\n".join(parts) + "\n"


def _table(members: Members) -> str:
    rows = [
        (name.removesuffix("?"), f"{kind}{' (may be missing)' if name.endswith('?') else ''}", text)
        for name, (kind, text) in members.items()
    ]
    return markdown_table(("member", "type", "meaning"), rows, right=frozenset())


def _definitions(*, closed: bool) -> dict[str, Schema]:
    return {name: _object(members, closed=closed) for name, members in OBJECTS.items()}


def _object(members: Members, *, closed: bool) -> Schema:
    named = {name: member for name, member in members.items() if name != "*"}
    is_closed = closed and len(named) == len(members)
    return {
        "type": "object",
        "properties": {
            name.removesuffix("?"): {**_type(kind), "description": text} for name, (kind, text) in named.items()
        },
        "required": [name for name in named if not name.endswith("?")],
        **({"additionalProperties": False} if is_closed else {}),
    }


def _type(kind: str) -> Schema:
    """Return the schema of a type."""
    if kind.endswith("?"):
        return {"anyOf": [_type(kind[:-1]), {"type": "null"}]}
    if kind.startswith("["):
        return {"type": "array", "items": _type(kind[1:-1])}
    if kind.startswith("{"):
        return {"type": "object", "additionalProperties": _type(kind[1:-1])}
    return dict(_TYPES[kind]) if kind in _TYPES else {"$ref": f"#/$defs/{kind}"}
