"""`batchsync dbt-exposures`."""

from __future__ import annotations

import click

from batchsync.cli.command import command, job_names
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.exposures import Owner, exposures, exposures_yaml
from batchsync.report.message import Message
from batchsync.util.suggestions import names_hint


@command("dbt-exposures", example="batchsync dbt-exposures --owner 'Data team' > models/batchsync.yml")
@job_names
@click.option("--owner", default="batchsync", metavar="NAME", help="Owner of the exposures (default: batchsync).")
@click.option("--owner-email", default="", metavar="ADDRESS", help="E-mail address of the owner.")
def dbt_exposures(session: Session, jobs: tuple[str, ...], *, owner: str, owner_email: str) -> Answer:
    """Print an exposure of dbt for each job that reads a model of dbt.

    The file belongs into the models of the project: dbt then shows the jobs in its lineage, and `dbt build --select
    +exposure:guests` builds what a job needs. Jobs that read no model are left out.

    Returns:
        The YAML file.

    Raises:
        UsageError: If there is no job of a name, or no job reads a model.
    """
    declared = session.deployment().jobs
    known = {name for job in declared for name in job.all_names}
    for name in jobs:
        if name not in known:
            raise UsageError(f'unknown job "{name}"', hint=names_hint(name, {job.name for job in declared}, "jobs"))
    chosen = [job for job in declared if not jobs or job.all_names.intersection(jobs)]
    found = exposures(chosen, Owner(name=owner, email=owner_email))
    if not found:
        hint = (
            "name the models in jobs.yaml: source: {connection: ..., dbt: {manifest: target/manifest.json, model: ...}}"
        )
        raise UsageError("no job reads a model of dbt", hint=hint)
    facts = {"version": 2, "exposures": found}
    return Answer(report=Message(sentences=tuple(exposures_yaml(found)), facts=facts, raw=True))
