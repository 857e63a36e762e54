"""Folders of vendors that a command line names: which may be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import UsageError

if TYPE_CHECKING:
    from batchsync.cli.session import Session

#: Files of a vendor's folder that are read.
_FILES = ("*.yaml", "records/*.yaml", "exchanges/*.yaml", "starter/*")


def refuse_outside(session: Session, folder: str) -> None:
    """Refuse a vendor's folder, or a file of it, that is outside of the folders that jobs may use.

    Args:
        session: The session, whose settings say which folders these are.
        folder: The folder.

    Raises:
        UsageError: If the folder or a file is outside, also by a link, or a file is no regular file.
    """
    fence = session.settings().fence
    if objection := fence.objection(folder):
        raise UsageError(f"{folder} {objection}", hint=fence.advice)
    for file in sorted(found for pattern in _FILES for found in Path(folder).glob(pattern)):
        if objection := fence.file_objection(file):
            raise UsageError(f"{file} {objection}", hint=fence.advice)
