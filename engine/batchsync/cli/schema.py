"""`batchsync schema`."""

from __future__ import annotations

import os
from importlib.resources import as_file, files
from pathlib import Path

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import UnavailableError, UsageError
from batchsync.report.message import Message


@command("schema", example="batchsync schema > jobs.schema.json")
@click.option(
    "--jobs-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A jobs file, whose connections select the vendor of a job, and whose names are completed.",
)
@click.option("--write", is_flag=True, help="Write the bundled schema in a source checkout.")
def schema(session: Session, *, jobs_file: Path | None, write: bool) -> Answer:
    """Print the JSON Schema of jobs.yaml.

    For editors: `# yaml-language-server: $schema=jobs.schema.json` as the first line of jobs.yaml. It knows the modes,
    targets and records of every vendor. Without --jobs-file the vendor of a job is told by its target; with it, by its
    connection, also where a vendor is a folder. Print it again after a connection or a job got another name.

    Returns:
        The schema or, with --write, the path of the file.

    Raises:
        UsageError: If a jobs file is named for the bundled schema.
        UnavailableError: If the file cannot be written.
    """
    if write and jobs_file is not None:
        raise UsageError("--write with --jobs-file", hint="`batchsync schema --jobs-file jobs.yaml > FILE` writes it")
    declared = None
    if jobs_file is not None:
        declared = spec.declared_names(jobs_file, environ=os.environ, fence=session.settings().fence)
    document, text = spec.jobs_schema(declared), spec.jobs_schema_text(declared)
    if not write:
        return Answer(report=Message(sentences=tuple(text.rstrip("\n").splitlines()), facts=document, raw=True))
    with as_file(files("batchsync_specs") / spec.SCHEMA_FILE) as path:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UnavailableError(
                f"{path}: {error.strerror}", hint="`batchsync schema > FILE` writes it to a file"
            ) from None
    return Answer(report=Message(sentences=(f"wrote {path}",), facts={"file": str(path)}))
