"""Snapshots: the complete state of the mocks as a tar of clock, batches, files and signing secrets, and its restore.

The key of the certificate authority is never included.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from batchsync_mocks import disk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor import Vendor

LIMIT = 16 << 30
CLOCK = "clock.json"


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
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restored-") as name:
        unpacked = Path(name)
        with tempfile.TemporaryFile() as stream:
            disk.receive(archive, stream, limit=LIMIT)
            stream.seek(0)
            _unpack(stream, unpacked)
        found = {path.name for path in unpacked.iterdir()}
        if found != {CLOCK, *vendors}:
            msg = f"The body is not a snapshot of {', '.join(vendors)}."
            raise ValueError(msg)
        with ExitStack() as locked:
            for vendor in vendors.values():
                locked.enter_context(vendor.state.lock)
            for vendor_name, vendor in vendors.items():
                shutil.rmtree(folder / vendor_name)
                (unpacked / vendor_name).rename(folder / vendor_name)
                vendor.reload()
            (unpacked / CLOCK).replace(folder / CLOCK)
            clock.persist_to(folder / CLOCK)


def _unpack(stream: IO[bytes], into: Path) -> None:
    """Extract a tar; raise if it is not a snapshot."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                _extract(tar, member, into)
    except (tarfile.TarError, OSError) as error:
        msg = f"The body is not a snapshot: {error}"
        raise ValueError(msg) from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Extract a member below a folder. Not with `tarfile`, whose checks depend on the patch level of Python."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        msg = "The body is not a snapshot: it contains a path outside of it."
        raise ValueError(msg)
    path = into / name
    if member.isdir():
        path.mkdir(exist_ok=True)
        path.chmod(0o700 | member.mode & 0o755)
        return
    content = tar.extractfile(member) if member.isfile() else None
    if content is None:
        msg = "The body is not a snapshot: it contains more than files and folders."
        raise ValueError(msg)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o600 | member.mode & 0o755)


def _without_incomplete(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Exclude files that are being written."""
    return None if Path(member.name).name.startswith(".") else member
