"""The whole world of the mocks as one tar: clock, batches, files, secrets of signatures; and back.

It does not know any vendor. A certificate authority's key is never in it.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from lading_mocks import disk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading_mocks.clock import Clock
    from lading_mocks.vendor import Vendor

LIMIT = 16 << 30
CLOCK = "clock.json"


def take(folder: Path, vendors: Mapping[str, Vendor]) -> IO[bytes]:
    """Give an open, unnamed tar file of everything the state directory holds."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - it is given away open
    with ExitStack() as locked:
        for vendor in vendors.values():
            locked.enter_context(vendor.memory.lock)
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(folder / CLOCK, CLOCK)
            for name in vendors:
                tar.add(folder / name, name, filter=_no_half_written)
    stream.seek(0)
    return stream


def put_back(given: IO[bytes], folder: Path, vendors: Mapping[str, Vendor], clock: Clock) -> None:
    """Take the place of the present world by that of a tar that `take` made, whole or not at all.

    Raises:
        ValueError: it is not such a tar, or of other vendors.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restored-") as name:
        fresh = Path(name)
        with tempfile.TemporaryFile() as stream:
            disk.receive(given, stream, limit=LIMIT)
            stream.seek(0)
            _unpack(stream, fresh)
        found = {one.name for one in fresh.iterdir()}
        if found != {CLOCK, *vendors}:
            msg = f"This is no snapshot of {', '.join(vendors)}."
            raise ValueError(msg)
        with ExitStack() as locked:
            for vendor in vendors.values():
                locked.enter_context(vendor.memory.lock)
            for vendor_name, vendor in vendors.items():
                shutil.rmtree(folder / vendor_name)
                (fresh / vendor_name).rename(folder / vendor_name)
                vendor.remembered()
            (fresh / CLOCK).replace(folder / CLOCK)
            clock.live_in(folder / CLOCK)


def _unpack(stream: IO[bytes], into: Path) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                _put(tar, member, into)
    except (tarfile.TarError, OSError) as error:
        msg = f"The body is not a snapshot: {error}"
        raise ValueError(msg) from None


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Write one member below a folder. By hand: what `tarfile` itself refuses depends on the patch level of Python."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        msg = "The body is not a snapshot: it holds a path that leads out of it."
        raise ValueError(msg)
    path = into / name
    if member.isdir():
        path.mkdir(exist_ok=True)
        path.chmod(0o700 | member.mode & 0o755)
        return
    content = tar.extractfile(member) if member.isfile() else None
    if content is None:
        msg = "The body is not a snapshot: it holds more than files and folders."
        raise ValueError(msg)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o600 | member.mode & 0o755)


def _no_half_written(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name.startswith(".") else member
