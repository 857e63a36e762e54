"""Wiring of backups of the state folder: what is backed up, and where to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.journal import copy_of_journal
from batchsync.reconcile.backup import BackupSource, back_up_and_note
from batchsync.storage.backup_places import BackupBucket, BackupFolder
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.object_client import ObjectClient, proxy_url

if TYPE_CHECKING:
    from batchsync.core.backup import BackupTarget
    from batchsync.core.deployment import Deployment
    from batchsync.ports import AccessOf, Clock
    from batchsync.ports.backup_place import BackupPlace
    from batchsync.settings import Settings

#: Folder of backups of the state of runs against mocks.
MOCKED = "mocks-backups"


def backup_place(target: BackupTarget, access: AccessOf, settings: Settings) -> BackupPlace:
    """Return the place of backups. No request is sent.

    Args:
        target: The folder, of this machine or of a storage.
        access: Resolves the references of the storage.
        settings: The settings. The state of runs against mocks is backed up next to it, and no storage is used.

    Returns:
        The place.

    Raises:
        UnavailableError: If a reference has no value, or the package that writes to storage is not installed.
    """
    if settings.mocks:
        return BackupFolder(settings.state_folder.with_name(MOCKED))
    if target.storage is None:
        return BackupFolder(Path(target.path))
    found = access(target.storage)
    proxy = found.proxy
    url = proxy_url(proxy.host, proxy.port, proxy.user, proxy.password) if proxy else ""
    return BackupBucket(ObjectClient(target.storage, found.credentials, url), target.storage.name, target.path)


def backup_source(state: Path) -> BackupSource:
    """Return what is backed up of a state folder."""
    return BackupSource(state=state, objects=LocalFolder(state), copy_journal=partial(copy_of_journal, state))


def back_up_after_runs(deployment: Deployment, settings: Settings, access: AccessOf, clock: Clock) -> None:
    """Back up the state folder, if jobs.yaml says where to. A failure is noted in it, and stops nothing.

    Args:
        deployment: The contents of jobs.yaml.
        settings: The settings, with the state folder.
        access: Resolves the references of storage.
        clock: Time of the backup.
    """
    if deployment.backup is not None:
        place = partial(backup_place, deployment.backup, access, settings)
        back_up_and_note(backup_source(settings.state_folder), place, clock.now())
