"""`batchsync schema`."""

from __future__ import annotations

import json
import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import UnavailableError, UsageError
from batchsync.report.message import Message
from batchsync.report.output_schema import commands_with_output, lines_schema, output_schema
from batchsync.util.suggestions import names_hint

#: Name of the schema of lines of NDJSON.
_LINES = "lines"


@command("schema", example="batchsync schema > jobs.schema.json")
@click.option(
    "--jobs-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A jobs file, whose connections select the vendor of a job, and whose names are completed.",
)
@click.option(
    "--output-of",
    metavar="COMMAND",
    help="The schema of what a command prints with -o json, such as plan or 'state init'; lines for -o ndjson.",
)
@click.option("--write", is_flag=True, help="Write the bundled schema in a source checkout.")
def schema(session: Session, *, jobs_file: Path | None, output_of: str | None, write: bool) -> Answer:
    """Print the JSON Schema of jobs.yaml, or of the JSON output of a command.

    For editors: `# yaml-language-server: $schema=jobs.schema.json` as the first line of jobs.yaml. It knows the modes,
    targets and records of every vendor. Without --jobs-file the target of a job decides its vendor; with it, the
    connection does, also where a vendor is a folder. Print it again after a connection or a job got another name.

    Returns:
        The schema or, with --write, the path of the file.

    Raises:
        UsageError: If options exclude each other, or there is no such command.
        UnavailableError: If the file cannot be written.
    """
    if output_of is not None and (write or jobs_file is not None):
        raise UsageError("--output-of with --write or --jobs-file", hint="`batchsync schema --output-of plan`")
    if output_of is not None:
        return _printed(_output_schema(output_of))
    if write and jobs_file is not None:
        raise UsageError("--write with --jobs-file", hint="`batchsync schema --jobs-file jobs.yaml > FILE` writes it")
    declared = None
    if jobs_file is not None:
        declared = spec.declared_names(jobs_file, environ=os.environ, fence=session.settings().fence)
    if not write:
        return _printed(spec.jobs_schema(declared))
    text = spec.jobs_schema_text()
    with as_file(files("batchsync_specs") / spec.SCHEMA_FILE) as path:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UnavailableError(
                f"{path}: {error.strerror}", hint="`batchsync schema > FILE` writes it to a file"
            ) from None
    return Answer(report=Message(sentences=(f"wrote {path}",), facts={"file": str(path)}))


def _output_schema(command: str) -> dict[str, Any]:
    """Return the schema of the output of a command.

    Raises:
        UsageError: If there is no such command.
    """
    known = (*commands_with_output(), _LINES)
    if command not in known:
        raise UsageError(f'no command "{command}" with JSON output', hint=names_hint(command, known, "commands"))
    return lines_schema() if command == _LINES else output_schema(command)


def _printed(document: dict[str, Any]) -> Answer:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return Answer(report=Message(sentences=tuple(text.splitlines()), facts=document, raw=True))
