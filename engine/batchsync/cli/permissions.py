"""Option `--allow`: guards that one run may exceed, up to a limit, with a reason."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import click

from batchsync.core.guards import Guards, Limit, Permission, Removals
from batchsync.errors import UsageError
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync.core.job import Job
    from batchsync.reconcile.services import SelectedJob

_REMOVALS = ("removals_after_edit", "removals_after_lost_file")
_COUNT, _PERCENT = re.compile(r"[0-9]{1,15}"), re.compile(r"(100|[0-9]{1,2})(\.[0-9]{1,4})?%")
#: Most characters of a reason.
_REASON_MAX = 500

allow = click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="GUARD=LIMIT",
    help="Let this run of the named jobs exceed a guard up to a limit, as in max_remove=200; needs --reason.",
)
reason = click.option("--reason", default="", metavar="TEXT", help="Why --allow is correct; recorded with the run.")


def permission_of(allowed: Sequence[str], reason: str, jobs: Sequence[str]) -> Permission | None:
    """Return the permission that the command line gives; None if it gives none.

    Args:
        allowed: Values of `--allow`.
        reason: Value of `--reason`.
        jobs: Names of jobs on the command line.

    Raises:
        UsageError: If a guard or limit is invalid, no job is named, or there is no reason.
    """
    if not allowed:
        if reason:
            raise UsageError(
                "--reason belongs to --allow", hint="batchsync sync JOB --allow max_remove=200 --reason TEXT"
            )
        return None
    if not jobs:
        raise UsageError(
            "--allow needs the names of the jobs that it is for", hint=f"batchsync sync JOB --allow {allowed[0]}"
        )
    if not reason.strip() or len(reason) > _REASON_MAX:
        raise UsageError(
            f"--allow needs a reason of at most {_REASON_MAX} characters, which is kept in the journal",
            hint=f'--allow {allowed[0]} --reason "the shop closed its old accounts"',
        )
    guards = Guards()
    for text in allowed:
        name, _, value = text.partition("=")
        known = [item.name for item in fields(Guards)]
        if name not in known:
            raise UsageError(f'--allow: no guard "{name}"', hint=names_hint(name, known, "guards"))
        if getattr(guards, name) is not None:
            raise UsageError(f"--allow: {name} is given twice", hint="name each guard once")
        guards = replace(guards, **{name: _value(name, value)})
    return Permission(guards=guards, reason=reason)


def permitting(permission: Permission | None) -> Callable[[SelectedJob], SelectedJob]:
    """Return a function that gives a job the permission."""

    def give(context: SelectedJob) -> SelectedJob:
        job: Job = replace(context.job, permission=permission)
        return replace(context, job=job)

    return give


def _value(name: str, text: str) -> Any:
    """Return the value of a guard: a limit, a number, or a treatment of removals."""
    if name in _REMOVALS:
        if text != Removals.SEND:
            raise UsageError(f"--allow {name}={text}: it is allowed with {name}=send", hint=f"--allow {name}=send")
        return Removals.SEND
    if name == "min_rows" and _COUNT.fullmatch(text):
        return int(text)
    if name != "min_rows" and _COUNT.fullmatch(text):
        return Limit(count=int(text))
    if name != "min_rows" and _PERCENT.fullmatch(text):
        return Limit(percent=float(text.removesuffix("%")))
    kind = "a number" if name == "min_rows" else "a number, or a percentage such as 5%"
    raise UsageError(f"--allow {name}={text}: the limit is {kind}", hint=f"--allow {name}=200")
