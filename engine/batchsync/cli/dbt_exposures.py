"""`batchsync dbt-exposures`."""

from __future__ import annotations

import click

from batchsync.cli.command import command
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.exposures import Owner, exposures, exposures_yaml
from batchsync.report.message import Message


@command("dbt-exposures", example="batchsync dbt-exposures --owner 'Data team' > models/batchsync.yml")
@selectors
@click.option("--owner", default="batchsync", metavar="NAME", help="Owner of the exposures (default: batchsync).")
@click.option("--owner-email", default="", metavar="ADDRESS", help="E-mail address of the owner.")
def dbt_exposures(
    session: Session, jobs: tuple[str, ...], *, exclude: tuple[str, ...], owner: str, owner_email: str
) -> Answer:
    """Print an exposure of dbt for each job that reads a model of dbt.

    The file belongs into the models of the project: dbt then shows the jobs in its lineage, and `dbt build --select
    +exposure:guests` builds what a job needs. Jobs that read no model are left out.

    Returns:
        The YAML file.

    Raises:
        UsageError: If no job reads a model.
    """
    deployment = session.deployment()
    names = chosen_jobs(session, deployment, jobs, exclude).names
    chosen = [job for job in deployment.jobs if job.name in names]
    found = exposures(chosen, Owner(name=owner, email=owner_email))
    if not found:
        hint = (
            "name the models in jobs.yaml: source: {connection: ..., dbt: {manifest: target/manifest.json, model: ...}}"
        )
        raise UsageError("no job reads a model of dbt", hint=hint)
    facts = {"version": 2, "exposures": found}
    return Answer(report=Message(sentences=tuple(exposures_yaml(found)), facts=facts, raw=True))
