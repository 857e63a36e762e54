"""`batchsync state`: begin or accept a state folder, and record what targets hold on a person's word."""

from __future__ import annotations

import click

from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.command import SETTINGS, command
from batchsync.cli.completion import complete_jobs
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.cli.state_backup import backup, restore_state
from batchsync.cli.state_jobs import list_jobs, move, remove, show, size_of_journal
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import SpecError, UsageError
from batchsync.reconcile.retention import prune_others
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize


@command("init", example="batchsync state init")
def init(session: Session) -> Answer:
    """Begin an empty state.

    With `state: {required: true}` in jobs.yaml, no other command creates a state folder: a deleted or unmounted folder
    is an error, instead of a reason to send every row again.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is a state already.
    """
    from batchsync.journal import open_anchored, own_environment  # noqa: PLC0415 - help needs no journal

    folder = session.state_folder()
    if any(folder.glob("journal.db*")):
        raise UsageError(
            f"there is a state in {folder} already; nothing was changed", hint="`batchsync status`", name="usage.exists"
        )
    own_environment(folder, session.settings().env or "")
    open_anchored(folder, session.settings().anchors_folder).close()
    report = Message(
        sentences=(f"began an empty state in {folder}: no target is known to hold anything",),
        facts={"state": str(folder)},
        next_step="`batchsync plan`, which shows that every row would be sent; for targets that hold them already, "
        "`batchsync state assume-delivered JOB --reason TEXT`",
    )
    return Answer(report=report)


@command(
    "assume-delivered",
    example='batchsync state assume-delivered guests --reason "the state was lost on Monday; nothing was edited since"',
)
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@click.option(
    "--reason", required=True, metavar="TEXT", help="How you know; kept in the journal and shown by `history`."
)
def assume_delivered(session: Session, job: str, *, reason: str) -> Answer:
    """Take today's source as what the target holds.

    For targets that hold the rows although the state does not say so, as after the loss of the state folder. Rows that
    would be sent are recorded as `assumed`, in a run of their own; nothing is sent, no vendor is called, and the next
    sync sends what differs from today. Keys that the target holds and the source lacks are not removed by this.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the reason is empty, or the job is a lookup.
        SpecError: If the job does not match its source.
    """
    if not reason.strip():
        raise UsageError("the reason is empty", hint='--reason "how you know what the target holds"')
    from batchsync.cli.offline import offline_context  # noqa: PLC0415 - help reads no rows
    from batchsync.reconcile.assume import assume_delivered as assume  # noqa: PLC0415 - the same

    with running_app(session) as app:
        (declared,) = app.jobs([job])
        problems, _ = app.check([declared])
        if problems:
            raise SpecError(problems)
        run = assume(offline_context(app, declared), app.services([job]), reason.strip())
        evaluate_alerts(session, app)
    counts = run.counts.outcomes
    assumed = counts[RowOutcome.ASSUMED]
    rest = ", ".join(f"{counts[item]:,} {item}" for item in counts.shown() if item is not RowOutcome.ASSUMED)
    report = Message(
        sentences=(
            f"{declared.name}: {pluralize(assumed, 'record')} assumed to be at the target (run {run.id}), nothing sent",
            f"of {run.counts.selected:,} selected: {assumed:,} assumed, {rest}",
        ),
        facts={"job": declared.name, "run": run.id, "assumed": assumed, "reason": reason.strip()},
        next_step=f"`batchsync plan {declared.name}`",
    )
    return Answer(report=report)


@command("accept", example='batchsync state accept --reason "the disk broke; restored from the backup of Monday"')
@click.option("--reason", required=True, metavar="TEXT", help="Why this state is to be used; kept in the journal.")
def accept(session: Session, *, reason: str) -> Answer:
    """Continue with a restored or copied state folder.

    After each commit, batchsync records outside the state folder how far the state got. A state that is older, or whose
    copy was used since, is refused by every command that writes, before anything is sent. This command accepts it;
    every other copy is refused from then on. What was sent since is not in it: where the vendor can be asked, it is
    asked before a file is sent; docs/guarantees.md says what is not found out.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the reason is empty, or there is nothing to accept.
    """
    if not reason.strip():
        raise UsageError("the reason is empty", hint='--reason "why this state is to be used"')
    from batchsync.journal import accept_older  # noqa: PLC0415 - help needs no journal

    settings, folder = session.settings(), session.state_folder()
    found = None
    if any(folder.glob("journal.db*")):
        found = accept_older(folder, settings.anchors_folder, reason=reason.strip(), at=session.now())
    if found is None:
        raise UsageError(
            f"the state in {folder} is not known to be restored or copied; nothing was changed",
            hint="`batchsync status`",
        )
    other = f"the copy in {found.other}" if found.other else "every other copy"
    report = Message(
        sentences=(
            f"accepted the state in {folder} with {found.serial:,} of {found.newest:,} transactions",
            f"{other} is refused from now on",
        ),
        facts={
            "state": str(folder),
            "transactions": found.serial,
            "newest": found.newest,
            "other": found.other or None,
            "reason": reason.strip(),
        },
        next_step="`batchsync plan`, which shows what would be sent; `batchsync resume` follows the open batches",
    )
    return Answer(report=report)


@command("vacuum", example="batchsync state vacuum")
def vacuum(session: Session) -> Answer:
    """Delete what is older than the retention periods, and shrink the journal.

    `sync` and `serve` delete at the end of each run; the space in the journal is used again, and its file does not
    shrink. This command also rewrites the file without free space, and empties its -wal file. Jobs that another process
    runs are left to it.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no state.
    """
    folder = session.state_folder()
    if not any(folder.glob("journal.db*")):
        raise UsageError(f"there is no state in {folder} yet", hint="`batchsync sync` begins one")
    with running_app(session) as app:
        before = size_of_journal(folder)
        deleted = prune_others(app.services())
        app.journal.vacuum()
        retention = app.deployment.retention
    after = size_of_journal(folder)
    periods = ", ".join(f"{name} {text}" for name, text in retention.texts())
    report = Message(
        sentences=(
            f"deleted {pluralize(deleted, 'old run or reject', 'old runs and rejects')} (retention: {periods})",
            f"the journal has {after:,} bytes; it had {before:,}",
        ),
        facts={"deleted": deleted, "bytes": after, "before": before, "retention": dict(retention.texts())},
    )
    return Answer(report=report)


state = click.Group(
    "state",
    commands={
        "list": list_jobs,
        "show": show,
        "mv": move,
        "rm": remove,
        "backup": backup,
        "restore": restore_state,
        "init": init,
        "accept": accept,
        "assume-delivered": assume_delivered,
        "vacuum": vacuum,
    },
    help="List, move, remove, back up, restore, begin or accept state, or record what targets hold.",
    context_settings=SETTINGS,
    no_args_is_help=True,
)
