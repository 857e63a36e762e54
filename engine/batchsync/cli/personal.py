"""Whether a command masks personal data: in Markdown and in the logs of CI, unless an option forces it to be shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from batchsync.report.masks import Mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.cli.session import Session
    from batchsync.core.job import Job

#: Variables that systems of continuous integration set.
CI_VARIABLES = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TF_BUILD",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "BUILDKITE",
    "CIRCLECI",
    "BITBUCKET_BUILD_NUMBER",
    "CODEBUILD_BUILD_ID",
)

show_personal = click.option(
    "--show-personal", is_flag=True, help="Show personal keys and values, also in Markdown and in CI."
)


show_values_option = click.option(
    "--show-values",
    is_flag=True,
    help="Show values of records instead of masking them; in Markdown and in CI only with --show-personal.",
)


def mask_of(session: Session, jobs: Iterable[Job], *, show: bool, values: bool = False) -> Mask:
    """Return what a command masks.

    Args:
        session: The session of the command.
        jobs: The jobs as in jobs.yaml.
        show: Whether the user wants to see personal data.
        values: Whether the user wants to see values of records.
    """
    personal = {name: job.source.personal for job in jobs for name in job.all_names}
    return mask_by_job(session, personal, show=show, values=values)


def mask_by_job(session: Session, personal: Mapping[str, bool | None], *, show: bool, values: bool = False) -> Mask:
    """Return what a command masks of jobs that may be in no jobs.yaml.

    Args:
        session: The session of the command.
        personal: By job, whether its keys are personal data; None: those that look like e-mail addresses.
        show: Whether the user wants to see personal data.
        values: Whether the user wants to see values of records.
    """
    active = not show and (session.output == "md" or in_ci(os.environ))
    if values and active:
        session.print_line("values stay hidden in Markdown and in CI; --show-personal shows them there", role="warn")
    return Mask(active=active, show_values=values, personal=personal)


def in_ci(environ: Mapping[str, str]) -> bool:
    """Return whether the process runs in continuous integration, whose logs many people can read."""
    return any(environ.get(name, "").lower() not in ("", "0", "false", "no") for name in CI_VARIABLES)
