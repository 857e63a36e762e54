"""Every command with JSON output is described, and outputs that are not as described are found."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from batchsync.cli.root import main
from batchsync.report.envelope import envelope
from batchsync.report.output_members import OBJECTS
from batchsync.report.output_results import EVENTS, RESULTS
from batchsync.report.output_schema import commands_with_output, lines_schema, output_page, output_schema
from kit.schemas import output_errors

DOCS = Path(__file__).parents[2] / "docs"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[str]:
    """Return the names of all commands below a group, and of groups that are commands by themselves."""
    found = [" ".join(path)] if hasattr(group, "plain") else []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [" ".join((*path, name))]
    return found


def test_every_command_is_described() -> None:
    assert isinstance(main, click.Group)
    assert sorted(commands(main)) == sorted(commands_with_output())


@pytest.mark.parametrize("command", commands_with_output())
@pytest.mark.parametrize("closed", [False, True])
def test_schemas_of_outputs_are_schemas_without_open_references(command: str, *, closed: bool) -> None:
    schema = output_schema(command, closed=closed)
    Draft202012Validator.check_schema(schema)
    for reference in json.dumps(schema).split('"#/$defs/')[1:]:
        assert reference.partition('"')[0] in schema["$defs"]


def test_schema_of_lines_knows_every_event() -> None:
    schema = lines_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["event"]["enum"] == list(EVENTS)


def test_output_that_is_not_described_is_found() -> None:
    result = {"job": "guests", "batches": ["b1"]}
    assert output_errors(json.dumps(envelope("cancel", 0, result=result, failure=None))) == []
    more = json.dumps(envelope("cancel", 0, result=result | {"new": 1}, failure=None))
    assert "'new' was unexpected" in output_errors(more)[0] or "not valid under any" in output_errors(more)[0]
    assert output_errors(json.dumps(envelope("cancel", 0, result={"job": "guests"}, failure=None)))
    assert output_errors(json.dumps(envelope("dance", 0, result={}, failure=None)))
    line = {"event": "needs_attention", "timestamp": "2026-11-30T10:00:00Z", "job": "a", "run": "r", "batch": "b"}
    assert output_errors(json.dumps(line)) == [": 'reason' is a required property"]
    assert output_errors(json.dumps(line | {"event": "dance"}))


def test_published_schema_allows_members_of_later_versions() -> None:
    document = envelope("cancel", 0, result={"job": "guests", "batches": [], "new": 1}, failure=None)
    assert not list(Draft202012Validator(output_schema("cancel")).iter_errors(document))


def test_page_describes_every_result_object_and_event() -> None:
    page = (DOCS / "json-output.md").read_text(encoding="utf-8")
    assert output_page() in page, "run `make docs`"
    assert all(f"### `{name}`" in page for name in RESULTS)
    assert all(f"**{name}**" in page for name in (*EVENTS, *OBJECTS))
