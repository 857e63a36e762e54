"""`lading schema`."""

from __future__ import annotations

from importlib.resources import as_file, files

import click

from lading import spec
from lading.cli.command import command
from lading.cli.session import Answer, Session
from lading.errors import EnvironmentProblem
from lading.report.said import Said


@command("schema", example="lading schema > jobs.schema.json")
@click.option("--write", is_flag=True, help="Write it to where the bundled schema is, in a source checkout.")
def schema(session: Session, *, write: bool) -> Answer:  # noqa: ARG001 - every command takes the session
    """Print the JSON Schema of jobs.yaml.

    For editors: `# yaml-language-server: $schema=jobs.schema.json` in the first line of jobs.yaml.
    """
    document, text = spec.jobs_schema(), spec.jobs_schema_text()
    if not write:
        return Answer(report=Said(sentences=tuple(text.rstrip("\n").splitlines()), facts=document, raw=True))
    with as_file(files("lading_specs") / spec.SCHEMA_FILE) as path:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise EnvironmentProblem(
                f"{path}: {error.strerror}", hint="`lading schema > FILE` writes it where you want"
            ) from None
    return Answer(report=Said(sentences=(f"wrote {path}",), facts={"file": str(path)}))
