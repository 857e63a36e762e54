"""`batchsync state backup` and `state restore`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.backups import backup_place, backup_source
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.core.backup import BackupTarget
from batchsync.errors import UsageError
from batchsync.journal import hold_all, install_journal, recorded_serial
from batchsync.reconcile.backup import back_up, snapshots
from batchsync.reconcile.restore import RestoreTarget, choose, restore
from batchsync.report.message import Message
from batchsync.report.snapshots import SnapshotsReport, snapshot_data
from batchsync.report.text_format import moment, pluralize, size
from batchsync.storage.backup_places import BackupFolder

if TYPE_CHECKING:
    from batchsync.app import App
    from batchsync.core.backup import Snapshot
    from batchsync.ports.backup_place import BackupPlace


@command("backup", example="batchsync state backup\nbatchsync state backup --to /mnt/backup/batchsync")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Instead of `state: backup:` of jobs.yaml.",
)
def backup(session: Session, folder: Path | None) -> Answer:
    """Back up the state folder.

    With `state: {backup: {path: ...}}` in jobs.yaml, `sync`, `resume` and `serve` do the same at the end of each run.
    The state may be in use. Only files that the backup lacks are written; this command looks for all of them. Of a
    folder, the newest 20 snapshots are kept. A backup holds keys and, while batches are open, records: keep it as
    private as the state folder.

    Returns:
        The report to print, with the exit code.
    """
    with session.app() as app:
        place = _place(app, folder)
        snapshot = back_up(backup_source(app.settings.state_folder), place, app.clock.now(), complete=True)
    return Answer(
        report=Message(
            sentences=(f"backed up {app.settings.state_folder} to {place.label}: {_extent(snapshot)}",),
            facts={"place": place.label, **snapshot_data(snapshot)},
        )
    )


@command(
    "restore",
    example='batchsync state restore\nbatchsync state restore --reason "the disk broke; no newer backup exists"',
)
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Instead of `state: backup:` of jobs.yaml.",
)
@click.option("--list", "only_list", is_flag=True, help="List the snapshots, newest first, and restore nothing.")
@click.option("--snapshot", type=click.IntRange(1), metavar="N", help="That with N transactions instead of the newest.")
@click.option("--reason", default="", metavar="TEXT", help="Why what happened since may be lost; kept in the journal.")
def restore_state(
    session: Session, folder: Path | None, *, only_list: bool, snapshot: int | None, reason: str
) -> Answer:
    """Restore the state folder from a backup.

    Refused without a reason if the present state is newer or another one, or if more transactions were committed than
    the snapshot has: what was sent in them would be sent again, unless the vendor can be asked. The present state is
    backed up to the same place before, and stays in use until the journal is replaced, in one step at the end.

    Returns:
        The report to print, with the exit code.
    """
    with session.app() as app:
        place, settings = _place(app, folder), app.settings
        found = snapshots(place, settings.state_folder)
        if only_list:
            return Answer(report=SnapshotsReport(place=place.label, snapshots=tuple(found)))
        anchors, at = settings.anchors_folder, app.clock.now()
        target = RestoreTarget(
            source=backup_source(settings.state_folder),
            environment=settings.env or "",
            recorded=partial(recorded_serial, anchors=anchors),
            hold=partial(hold_all, settings.state_folder),
            install=lambda file, why: install_journal(file, settings.state_folder, anchors, reason=why, at=at),
        )
        done = restore(target, place, choose(found, snapshot, place), reason=reason.strip(), at=at)
    chosen = done.snapshot
    sentences = [
        f"restored {settings.state_folder} from {place.label}: {chosen.serial:,} transactions, {moment(chosen.at)}"
    ]
    if done.before is not None:
        sentences.append(f"the state before is there as the snapshot with {done.before.serial:,} transactions")
    if done.objection:
        sentences.append(f"accepted: {done.objection}")
    return Answer(
        report=Message(
            sentences=tuple(sentences),
            facts={
                "place": place.label,
                **snapshot_data(chosen),
                "before": snapshot_data(done.before) if done.before is not None else None,
                "accepted": done.objection or None,
            },
            next_step="`batchsync plan`, which shows what would be sent; `batchsync resume` follows the open batches",
        )
    )


def _extent(snapshot: Snapshot) -> str:
    files = pluralize(len(snapshot.contents), "file")
    return f"{snapshot.serial:,} transactions, {files}, {size(snapshot.size)}"


def _place(app: App, folder: Path | None) -> BackupPlace:
    """Return the place of backups.

    Raises:
        UsageError: If neither the command nor jobs.yaml names one, or it is in the state folder.
    """
    target = BackupTarget(path=str(folder.absolute())) if folder is not None else app.deployment.backup
    if target is None:
        raise UsageError(
            "jobs.yaml names no place of backups", hint="add `state: {backup: {path: ../backup}}`, or name a folder"
        )
    state = app.settings.state_folder.resolve()
    if target.storage is None and Path(target.path).resolve().is_relative_to(state):
        raise UsageError(f"{target.path} is in the state folder, and would be lost with it", hint="name another folder")
    return BackupFolder(Path(target.path)) if folder is not None else backup_place(target, app.access, app.settings)
