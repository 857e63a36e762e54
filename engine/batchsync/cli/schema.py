"""`batchsync schema`."""

from __future__ import annotations

from importlib.resources import as_file, files

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import UnavailableError
from batchsync.report.message import Message


@command("schema", example="batchsync schema > jobs.schema.json")
@click.option("--write", is_flag=True, help="Write the bundled schema in a source checkout.")
def schema(session: Session, *, write: bool) -> Answer:  # noqa: ARG001 - every command takes the session
    """Print the JSON Schema of jobs.yaml.

    For editors: `# yaml-language-server: $schema=jobs.schema.json` as the first line of jobs.yaml.

    Returns:
        The schema or, with --write, the path of the file.

    Raises:
        UnavailableError: If the file cannot be written.
    """
    document, text = spec.jobs_schema(), spec.jobs_schema_text()
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
