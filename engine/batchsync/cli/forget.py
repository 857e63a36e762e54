"""`batchsync forget`."""

from __future__ import annotations

import getpass
import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.declared import check_known
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.core.personal_data import KeySearch, hash_of_key
from batchsync.errors import UsageError
from batchsync.reconcile.forget import ForgetRequest, known_keys
from batchsync.reconcile.forget import forget as forget_keys
from batchsync.reconcile.forgotten_keys import read_secret
from batchsync.report.forget import ForgetReport, ForgottenJob
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.app import App
    from batchsync.core.job import Job
    from batchsync.reconcile.forget import Forgotten
    from batchsync.reconcile.services import Services

_STDIN = Path("-")


@command(
    "forget",
    example='batchsync forget C1007 --job guests --reason "request 2026-114"\n'
    'batchsync forget --from keys.txt --reason "requests of November"\n'
    'batchsync forget C1007 --job guests --revoke --reason "request withdrawn"',
)
@click.argument("key", required=False, metavar="[KEY]")
@click.option(
    "--from",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Forget the keys of a file, one per line; `-` reads stdin, so that no key is in the shell's history.",
)
@click.option("--job", metavar="JOB", help="Forget in this job only (default: in all jobs that know the key).")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the tombstone. It must not name the key.")
@click.option("--revoke", is_flag=True, help="Delete the tombstone instead: a row of the key is sent again.")
def forget(
    session: Session, key: str | None, *, key_file: Path | None, job: str | None, reason: str, revoke: bool
) -> Answer:
    """Erase a key from the state folder.

    Removes the key from baselines, rejects, texts of events, kept batch files, row manifests and the results of its
    jobs. A keyed hash of it remains, with time, user and reason: a row of the key that is still in the source is not
    sent, and counts as suppressed. Refused while the key is in an open batch. Write keys as `batchsync rejects` shows
    them. Contacts no vendor: what the vendor, backups and saved files hold is listed, and remains there.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the reason is empty or names a key, no key is given, or no job knows it.
    """
    if (key is None) == (key_file is None):
        raise click.UsageError("give a KEY, or --from FILE")
    keys = _keys_of(key_file) if key_file is not None else [key or ""]
    _check_reason(reason, keys)
    with session.journal() as journal:
        if job is not None:
            check_known(session, journal, job)
        elif journal is None:
            raise UsageError("no job has any key: no runs yet", hint="`batchsync status`", name="usage.never_ran")
    with running_app(session) as app:
        services = app.services([job] if job is not None and job in app.deployment.names else ())
        requests = _requests(app, services, keys, job)
        if revoke:
            return _revoked(app, requests, services)
        return Answer(report=_report(app, services, requests, keys, reason.strip()))


def _report(
    app: App, services: Services, requests: Sequence[ForgetRequest], keys: Sequence[str], reason: str
) -> ForgetReport:
    """Forget the keys and return the report."""
    done = forget_keys(requests, services, by=_user(), reason=reason)
    known = {key for request in requests for key in request.keys}
    jobs = [_forgotten(app, item, request.declared) for item, request in zip(done, requests, strict=True)]
    return ForgetReport(jobs=tuple(jobs), unknown=len(set(keys) - known))


def _forgotten(app: App, done: Forgotten, job: Job | None) -> ForgottenJob:
    """Return what the report says of a job."""
    rules = app.rules_of(job) if job is not None else None
    modes = tuple(sorted(rules.erases) or rules.removal_modes) if rules is not None else ()
    return ForgottenJob(
        job=done.job,
        keys=done.keys,
        held=done.held,
        segments=done.segments,
        texts=done.texts,
        files=done.files,
        answers=done.answers,
        vendor=rules.title if rules is not None else "",
        removal_modes=modes,
        source=job.source.path if job is not None else "",
        declared=job is not None,
    )


def _revoked(app: App, requests: Sequence[ForgetRequest], services: Services) -> Answer:
    """Delete the tombstones of the keys."""
    secret, deleted = read_secret(services), 0
    with ExitStack() as leases:
        for request in requests:
            leases.enter_context(services.lease(request.job))
            hashes = [hash_of_key(secret, key) for key in request.keys]
            deleted += sum(app.journal.revoke(name, hashes) for name in request.names)
    report = Message(
        sentences=(f"deleted {pluralize(deleted, 'tombstone')}; rows of these keys are sent as new by the next sync",),
        facts={"jobs": [request.job for request in requests], "deleted": deleted},
        next_step="`batchsync plan`",
    )
    return Answer(report=report)


def _requests(app: App, services: Services, keys: Sequence[str], job: str | None) -> list[ForgetRequest]:
    """Return the keys to forget by job: in the named job all of them, else in each job those that it knows.

    Raises:
        UsageError: If no job knows a key.
    """
    declared = {name: item for item in app.deployment.jobs for name in item.all_names}
    names = [job] if job is not None else [*(item.name for item in app.deployment.jobs), *services.store.jobs()]
    requests: dict[str, ForgetRequest] = {}
    for name in names:
        found = declared.get(name)
        current = found.name if found is not None else name
        all_names = (current, *(found.renamed_from or ())) if found is not None else (name,)
        requests.setdefault(current, ForgetRequest(job=current, keys=keys, names=all_names, declared=found))
    if job is not None:
        return list(requests.values())
    known = [replace(item, keys=sorted(known_keys(item, services))) for item in requests.values()]
    if not any(item.keys for item in known):
        raise UsageError(
            "no job knows the key" if len(keys) == 1 else f"no job knows one of the {len(keys):,} keys",
            hint="write keys as `batchsync rejects` shows them; --job JOB forgets a key that was never sent, too",
            name="usage.unknown_key",
        )
    return [item for item in known if item.keys]


def _keys_of(file: Path) -> list[str]:
    """Return the keys of a file, one per line.

    Raises:
        UsageError: If it cannot be read, or has none.
    """
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {os_error_reason(error)}", hint="name a file of keys") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8", hint="save it as UTF-8, one key per line") from None
    keys = [line for line in dict.fromkeys(text.splitlines()) if line]
    if not keys:
        raise UsageError(f"{file} has no keys", hint="write one key per line, as `batchsync rejects` shows them")
    return keys


def _check_reason(reason: str, keys: Sequence[str]) -> None:
    """Refuse an empty key, an empty reason, and one that would keep what is to be forgotten."""
    if not all(keys):
        raise UsageError("the key is empty", hint="`batchsync rejects` lists rows without a key")
    if not reason.strip():
        raise UsageError("the reason is empty", hint='--reason "number of the request"')
    if KeySearch(keys).found_in(reason):
        raise UsageError(
            "the reason names a key, and would be kept in the state folder", hint='--reason "number of the request"'
        )


def _user() -> str:
    """Return the user of this process."""
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (KeyError, OSError):
        return f"unknown user on {socket.gethostname()}"
