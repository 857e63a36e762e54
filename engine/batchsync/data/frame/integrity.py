"""Translation of disk and engine errors, and verification of state files: segments, row manifests, verdicts."""

from __future__ import annotations

import errno
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from batchsync.errors import StateError, UnavailableError
from batchsync.util.files import os_error_reason, sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batchsync.ports import ObjectStore

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_HINT = "Free some space, then run the same command again."
#: Segments are named by their digest, row manifests by that of their batch file and their own.
_DIGEST = re.compile(r"([0-9a-f]{64})\.parquet|[0-9a-f]{64}\.([0-9a-f]{64})\.manifest\.parquet")


@contextmanager
def translate_disk_errors(doing: str) -> Iterator[None]:
    """Raise errors of the disk and of polars or pyarrow as UnavailableError, without row values.

    Args:
        doing: The activity of the block, as the subject of the message.

    Yields:
        Nothing; the block reads and writes state files.

    Raises:
        UnavailableError: If the block raises an error of the operating system, polars or pyarrow.
    """
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL or "No space left" in str(error)
        hint = _FULL_HINT if is_full else "Check the state folder and its disk."
        reason = "the disk is full" if is_full else os_error_reason(error)
        raise UnavailableError(f"{doing} stopped: {reason}", hint=hint) from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException) as error:
        if "No space left" in str(error):
            raise UnavailableError(
                f"{doing} stopped: the disk is full", hint=_FULL_HINT, name="environment.disk_full"
            ) from None
        hint = "Run `batchsync doctor`; if the job and its files are valid, please report this as a defect."
        raise UnavailableError(f"{doing} stopped in the columnar engine ({type(error).__name__})", hint=hint) from None


@contextmanager
def opened(objects: ObjectStore, keys: Sequence[str]) -> Iterator[list[Path]]:
    """Open objects to read.

    Args:
        objects: The store.
        keys: Keys of the objects.

    Yields:
        A local file for each key, valid until the context is left.

    Raises:
        StateError: If an object is missing; the message names the first.
    """
    with ExitStack() as stack:
        paths = []
        for key in keys:
            try:
                paths.append(stack.enter_context(objects.get(key)))
            except FileNotFoundError:
                missing = _damaged_file_error(key.rpartition("/")[2])
                raise missing from None
        yield paths


def verify_parquet(paths: Sequence[Path]) -> None:
    """Check that state files exist and are complete Parquet files.

    Raises:
        StateError: If a file is missing or damaged; the message names the first.
    """
    for path in paths:
        try:
            pl.scan_parquet(path, glob=False).collect_schema()
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            damaged = _damaged_file_error(path.name)
            raise damaged from None


def is_intact(path: Path) -> bool:
    """Return whether a segment or row manifest exists with the content of its name; see `verify_digest`."""
    try:
        verify_digest([path])
    except StateError:
        return False
    return True


def verify_digest(paths: Sequence[Path]) -> None:
    """Check the content of segments and row manifests against the digests in their names.

    Without a digest in its name, as an older release named row manifests, a file must be complete Parquet.

    Raises:
        StateError: If a file is missing or its content has changed; the message names the first.
    """
    for path in paths:
        named = _DIGEST.fullmatch(path.name)
        if named is None:
            verify_parquet([path])
            continue
        try:
            is_intact = sha256_of_file(path) == (named[1] or named[2])
        except OSError:
            is_intact = False
        if not is_intact:
            damaged = _damaged_file_error(path.name)
            raise damaged


def _damaged_file_error(name: str) -> StateError:
    """Return the error for a missing or damaged state file."""
    hint = "Restore the state folder from a backup; without this file rows could be sent twice."
    return StateError(f"{name} in the state folder is missing or damaged", hint=hint)
