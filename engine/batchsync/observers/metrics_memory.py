"""What metrics remember from one process to the next, in a file of the state folder.

The file may be deleted: counters then start at what the journal has, which Prometheus takes for a restart.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.running_totals import RunningTotal
from batchsync.observers.durations import Durations

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Name of the file in the state folder.
NAME = "metrics.json"
_VERSION = 1


@dataclass(slots=True)
class Remembered:
    """What metrics remember.

    Attributes:
        journal_id: Id of the journal that the totals are of.
        totals: Counters by job.
        succeeded: When the last successful run of a job was settled, in seconds since 1970.
        ends: Exit code with which a job ended last, and when.
        calls: Durations of vendor calls.
        stages: Durations of stages.
    """

    journal_id: str = ""
    totals: dict[str, RunningTotal] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)
    ends: dict[str, tuple[int, float]] = field(default_factory=dict)
    calls: Durations = field(default_factory=Durations)
    stages: Durations = field(default_factory=Durations)

    def data(self) -> dict[str, Any]:
        """Return this as a JSON-compatible dictionary."""
        return {
            "version": _VERSION,
            "journal_id": self.journal_id,
            "totals": {job: asdict(total) for job, total in self.totals.items()},
            "succeeded": self.succeeded,
            "ends": self.ends,
            "calls": self.calls.data(),
            "stages": self.stages.data(),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Remembered:
        """Return what `data` returned.

        Raises:
            ValueError: If it is something else. So do KeyError, TypeError and AttributeError.
        """
        if data["version"] != _VERSION:
            message = f"version {data['version']}"
            raise ValueError(message)
        return cls(
            journal_id=str(data["journal_id"]),
            totals={job: RunningTotal(**total) for job, total in data["totals"].items()},
            succeeded={job: float(at) for job, at in data["succeeded"].items()},
            ends={job: (int(code), float(at)) for job, (code, at) in data["ends"].items()},
            calls=Durations.from_data(data["calls"]),
            stages=Durations.from_data(data["stages"]),
        )


@contextmanager
def updating(state: Path) -> Iterator[Remembered]:
    """Yield what is remembered, and keep it as it is after the block, if it changed.

    Processes take turns. A file that cannot be read counts as missing, and one that cannot be written is left.

    Args:
        state: The state folder, which need not exist.

    Yields:
        What is remembered, to be changed.
    """
    with _lock(state):
        remembered, before = Remembered(), None
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            before = json.loads((state / NAME).read_text(encoding="utf-8"))
            remembered = Remembered.from_data(before)
        yield remembered
        after = json.loads(json.dumps(remembered.data()))
        if after != before:
            with suppress(OSError):
                _write(state, json.dumps(after, separators=(",", ":")))


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    """Hold the lock of the file until the block ends; none where the folder cannot be written."""
    try:
        descriptor = os.open(state / f"{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(state: Path, text: str) -> None:
    """Replace the file at once."""
    descriptor, name = tempfile.mkstemp(prefix=f".{NAME}-", dir=state)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(state / NAME)
    finally:
        new.unlink(missing_ok=True)
