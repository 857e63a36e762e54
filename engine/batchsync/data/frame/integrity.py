"""What goes wrong beneath the data path is said in words: a full disk, a state file that is gone or damaged.

It does not know sources; what is wrong with those is said where they are read.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from lading.data.spool import digest_of
from lading.errors import EnvironmentProblem, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A segment goes by its digest, evidence by that of its batch file and its own.
_DIGEST = re.compile(r"([0-9a-f]{64})\.parquet|[0-9a-f]{64}\.([0-9a-f]{64})\.evidence\.parquet")


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn errors of the disk into an `EnvironmentProblem`, and of the engine into one without row values."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL or "No space left" in str(error)
        hint = "Free some space; the same command goes on." if full else "Look at the state folder and its disk."
        what = "the disk is full" if full else error.strerror or type(error).__name__
        raise EnvironmentProblem(f"{doing} stopped: {what}", hint=hint) from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException) as error:
        if "No space left" in str(error):
            hint = "Free some space; the same command goes on."
            raise EnvironmentProblem(f"{doing} stopped: the disk is full", hint=hint) from None
        hint = "Run `lading doctor`; when the job and its files are sound, this is a defect worth reporting."
        raise EnvironmentProblem(
            f"{doing} stopped in the columnar engine ({type(error).__name__})", hint=hint
        ) from None


def whole_parquet(paths: Sequence[Path]) -> None:
    """Refuse state files that are gone or damaged, before anything is compared with them.

    Raises:
        StateError: for the first that is not a whole Parquet file.
    """
    for path in paths:
        try:
            pl.scan_parquet(path, glob=False).collect_schema()
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            raise _damaged(path) from None


def untouched(paths: Sequence[Path]) -> None:
    """Refuse state files that are not, byte for byte, what their names say: segments and evidence carry their digests.

    Evidence that an older release wrote carries none, and is let through.

    Raises:
        StateError: for the first that is gone or has changed.
    """
    for path in paths:
        named = _DIGEST.fullmatch(path.name)
        try:
            if named and digest_of(path) != (named[1] or named[2]):
                raise _damaged(path)
        except OSError:
            raise _damaged(path) from None


def _damaged(path: Path) -> StateError:
    hint = "Restore the state folder from a copy; without it rows could be sent twice."
    return StateError(f"{path.name} in the state folder is missing or damaged", hint=hint)
