"""Port of observers, which receive the progress of long operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.batch import Batch


#: Bytes processed, and the total; None if the total is unknown.
Size = tuple[int, int | None]


class Observer(Protocol):
    """Receiver of progress events. Its methods must not raise and must return at once."""

    def on_progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Report the progress of a stage.

        Args:
            job: Name of the job.
            stage: Name of the stage.
            done: Number of units processed.
            unit: Name of the unit.
            total: Total number of units; None if unknown.
            size: Approximate bytes processed, and the total.
        """
        ...

    def on_batch_changed(self, batch: Batch) -> None:
        """Report that a batch was created or changed."""
        ...

    def on_waiting(self, until: datetime) -> None:
        """Report that nothing is due before `until`."""
        ...
