"""Validation by the JSON Schemas that batchsync writes, with a validator that shares no code with it."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from batchsync.report.output_schema import commands_with_output, lines_schema, output_schema
from batchsync.spec import jobs_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Tag of dates of YAML 1.1, which editors and batchsync read as text.
_DATE = "tag:yaml.org,2002:timestamp"


@cache
def jobs_validator() -> Draft202012Validator:
    """Return the validator of jobs.yaml."""
    return Draft202012Validator(jobs_schema())


def read_yaml(text: str) -> Any:
    """Return the value of a YAML document as an editor reads it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor(_DATE, yaml.constructor.__class__.construct_yaml_str)
    return yaml.load(text)


def schema_errors(document: Any, validator: Draft202012Validator | None = None) -> list[str]:
    """Return the place and message of everything that a schema, by default that of jobs.yaml, refuses."""
    found = (validator or jobs_validator()).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]


@cache
def text_errors(text: str, schema: str | None = None) -> tuple[str, ...]:
    """Return what a schema, given as JSON, refuses in a jobs.yaml; by default the schema without installed packages."""
    validator = None if schema is None else Draft202012Validator(json.loads(schema))
    return tuple(schema_errors(read_yaml(text), validator))


def errors_of(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return what a schema refuses in a document."""
    return schema_errors(document, Draft202012Validator(schema))


@cache
def _output_validator(command: str) -> Draft202012Validator:
    schema = lines_schema(closed=True) if command == "lines" else output_schema(command, closed=True)
    return Draft202012Validator(schema)


def output_errors(stdout: str) -> list[str]:
    """Return what is not documented in the JSON or NDJSON that a command printed; nothing for other output."""
    if not stdout.startswith("{"):
        return []
    try:
        documents = [json.loads(stdout)]
    except ValueError:
        documents = [json.loads(line) for line in stdout.splitlines()]
    errors = []
    for document in documents:
        if "schema_version" in document and "event" not in document:
            command = document["command"]
            if command not in commands_with_output():
                errors += [] if document["result"] is None else [f"the output of {command} is not documented"]
                continue
            errors += schema_errors(document, _output_validator(command))
        elif "event" in document:
            errors += schema_errors(document, _output_validator("lines"))
    return errors
