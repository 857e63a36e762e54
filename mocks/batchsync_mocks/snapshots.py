"""Snapshots: the complete state of the mocks as a tar of clock, batches, files and signing secrets, and its restore.

The key of the certificate authority is never included.

A restore takes place completely or not at all. The tar is unpacked next to the state and read entirely; a single rename
of the unpacked folder to `PENDING` then decides: before it, an error or a kill leaves the former state; after it, an
error undoes what was replaced, and after a kill the next start completes the restore (`complete`).
"""

from __future__ import annotations

import contextlib
import shutil
import ssl
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from batchsync_mocks import disk, vendor_state
from batchsync_mocks.clock import SavedClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor import Vendor
    from batchsync_mocks.vendor_state import SavedState

LIMIT = 16 << 30
CLOCK = "clock.json"
#: Folder in the state directory with an unpacked snapshot that replaces the state.
PENDING = ".restore-pending"
#: Folder in the state directory with the files that the snapshot replaced, until all are.
REPLACED = ".restore-replaced"
_UNPACKED = ".restore-unpacked-"


class RestoreFailedError(OSError):
    """Error for a restore whose files cannot be written or replaced."""


def create(folder: Path, vendors: Mapping[str, Vendor]) -> IO[bytes]:
    """Return an open, unnamed tar file of the state directory."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - returned open
    with ExitStack() as locked:
        for vendor in vendors.values():
            locked.enter_context(vendor.state.lock)
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(folder / CLOCK, CLOCK)
            for name in vendors:
                tar.add(folder / name, name, filter=_without_incomplete)
    stream.seek(0)
    return stream


def restore(archive: IO[bytes], folder: Path, vendors: Mapping[str, Vendor], clock: Clock) -> None:
    """Replace the state by that of a snapshot, completely or not at all.

    Args:
        archive: The tar.
        folder: State directory.
        vendors: The served vendors, by name.
        clock: The shared clock.

    Raises:
        ValueError: If the archive is no snapshot, or a snapshot of other vendors.
        RestoreFailedError: If the files cannot be written or replaced.
        ConnectionError: If the client that sends the archive disconnects.
        TimeoutError: If it stops sending.
        ssl.SSLError: If its TLS connection breaks.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=_UNPACKED, ignore_cleanup_errors=True) as parent:
            unpacked = Path(parent) / "state"
            unpacked.mkdir(mode=0o700)
            with tempfile.TemporaryFile() as stream:
                disk.receive(archive, stream, limit=LIMIT)
                stream.seek(0)
                _unpack(stream, unpacked)
            saved_clock, saved_states = _read(unpacked, vendors)
            _replace(unpacked, folder, vendors, clock, (saved_clock, saved_states))
    except (ConnectionError, TimeoutError, ssl.SSLError, RestoreFailedError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"The snapshot was not restored, and the state is the same as before: {reason}."
        raise RestoreFailedError(msg) from error


def complete(folder: Path) -> None:
    """Complete a restore that a kill interrupted, and remove what an incomplete one left behind."""
    if (folder / PENDING).is_dir():
        _move_in(folder, [path.name for path in (folder / PENDING).iterdir()])
        (folder / PENDING).rmdir()
    for leftover in (folder / REPLACED, *folder.glob(f"{_UNPACKED}*")):
        shutil.rmtree(leftover, ignore_errors=True)


def _read(unpacked: Path, vendors: Mapping[str, Vendor]) -> tuple[SavedClock, dict[str, SavedState]]:
    """Return clock and states of an unpacked snapshot; raise ValueError if a part of it is not valid."""
    if {path.name for path in unpacked.iterdir()} != {CLOCK, *vendors}:
        msg = f"The body is not a snapshot of {', '.join(vendors)}."
        raise ValueError(msg)
    if not (unpacked / CLOCK).is_file():
        msg = f"The body is not a snapshot: {CLOCK} is not a file."
        raise ValueError(msg)
    try:
        saved_clock = SavedClock.from_json(disk.read_json(unpacked / CLOCK))
        states = {name: vendor_state.read_saved(unpacked / name) for name in vendors}
        for name, vendor in vendors.items():
            vendor.check_saved(states[name])
    except (ValueError, RecursionError, IsADirectoryError, NotADirectoryError) as error:
        msg = f"The body is not a snapshot: {error}"
        raise ValueError(msg) from None
    return saved_clock, states


def _replace(
    unpacked: Path,
    folder: Path,
    vendors: Mapping[str, Vendor],
    clock: Clock,
    saved: tuple[SavedClock, Mapping[str, SavedState]],
) -> None:
    """Replace files and memory by a snapshot that was read; undo everything if a file cannot be replaced."""

    def replace_files() -> None:
        if (folder / REPLACED).exists():
            shutil.rmtree(folder / REPLACED)
        # Here the restore is decided; a restart after a kill completes it.
        unpacked.rename(folder / PENDING)
        try:
            _move_in(folder, [*vendors, CLOCK])
        except BaseException:
            _undo(unpacked, folder, [CLOCK, *vendors])
            raise

    with ExitStack() as locked:
        for vendor in vendors.values():
            locked.enter_context(vendor.state.lock)
            vendor.close()
        clock.replace(saved[0], replace_files)
        for name, vendor in vendors.items():
            vendor.adopt(saved[1][name])
    # The state is the restored one; what remains is removed at the next start at the latest.
    with contextlib.suppress(OSError):
        (folder / PENDING).rmdir()
    shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _move_in(folder: Path, names: Iterable[str]) -> None:
    """Move clock and states from `PENDING` to their places, and those that stood there to `REPLACED`."""
    disk.make_private(folder / REPLACED)
    for name in names:
        if (folder / name).exists():
            (folder / name).rename(folder / REPLACED / name)
        (folder / PENDING / name).rename(folder / name)


def _undo(unpacked: Path, folder: Path, names: Iterable[str]) -> None:
    """Move clock and states back from `REPLACED`, and the snapshot out of `PENDING`, where a restart would find it."""
    try:
        for name in names:
            if (folder / REPLACED / name).exists():
                if (folder / name).exists():
                    (folder / name).rename(folder / PENDING / name)
                (folder / REPLACED / name).rename(folder / name)
        (folder / PENDING).rename(unpacked)
    except OSError as error:
        msg = "The snapshot replaced only a part of the files. Start the mocks again: they complete the restore."
        raise RestoreFailedError(msg) from error
    shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _unpack(stream: IO[bytes], into: Path) -> None:
    """Extract a tar; raise ValueError if it is not a snapshot."""
    size = 0
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                size += member.size
                if size > LIMIT or member.issparse():
                    msg = f"The body is not a snapshot: it contains more than {LIMIT} bytes, or a sparse file."
                    raise ValueError(msg)
                _extract(tar, member, into)
            # `tarfile` does not require the mark at the end, without which the last members may be missing.
            stream.seek(tar.offset)
            is_complete = stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"The body is not a snapshot: {getattr(error, 'strerror', None) or error}"
        raise ValueError(msg) from None
    if not is_complete:
        msg = "The body is not a snapshot: its end is missing."
        raise ValueError(msg)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Extract a member below a folder. Not with `tarfile`, whose checks depend on the patch level of Python."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        msg = "The body is not a snapshot: it contains a path outside of it."
        raise ValueError(msg)
    path = into / name
    if member.isdir():
        disk.make_private(path)
        return
    content = tar.extractfile(member) if member.isfile() else None
    if content is None:
        msg = "The body is not a snapshot: it contains more than files and folders."
        raise ValueError(msg)
    with content, disk.open_private(path) as file:
        shutil.copyfileobj(content, file)


def _without_incomplete(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Exclude files that are being written."""
    return None if Path(member.name).name.startswith(".") else member
