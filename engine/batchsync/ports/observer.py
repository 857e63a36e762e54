"""What the engine asks of whoever stands beside it and watches. It does not know who that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.batch import Batch


#: Bytes that are done, and all of them; None where that is not known.
Size = tuple[int, int | None]


class Watcher(Protocol):
    """Somebody who is shown how far a long piece of work is. It must not raise and must return at once."""

    def progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Tell that `done` of `total` units of a stage are done (`total` None: not known).

        `size` is about how many bytes that is, and of how many.
        """
        ...

    def moved(self, batch: Batch) -> None:
        """Tell that something happened to a batch."""
        ...

    def waiting(self, until: datetime) -> None:
        """Tell that nothing is to be done before `until`."""
        ...
