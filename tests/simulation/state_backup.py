"""A copy of the state folder, taken in the middle of a life, and put back when that life is over.

What the journal then knows is older than what the vendors have. Rows that were packed into other files meanwhile cannot
be told from new ones, so a copy is put back only where no batch was added or lost its slot since.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.journal import Journal
from simulation import oracle
from simulation.deployment import BDP, VENDOR_OF

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: checkpoints at which no transaction is open, so that the files of the journal can be copied
MOMENTS = (
    r"^record:committed",
    r"^record:committed",
    r"^add_batch:committed",
    r"^vendor\.(allocate|upload):(before|after)",
)
#: seconds that it takes a person to put a copy back: no request is still under way after that
TAKES = 900.0


@dataclass(frozen=True)
class Copy:
    """A copy of a state folder."""

    state: Path
    kept: Path

    def take(self) -> None:
        """Copy the folder as it is now."""
        shutil.rmtree(self.kept, ignore_errors=True)
        if self.state.exists():
            # Parts that threads are still writing stand in no journal.
            shutil.copytree(self.state, self.kept, ignore=shutil.ignore_patterns(".lading-*"), copy_function=_copied)

    def batches(self, names: tuple[str, ...]) -> list[Batch]:
        """Return the batches that the copy knows; none when it was not taken."""
        if not (self.kept / "journal.db").exists():
            return []
        with Journal.open(self.kept) as journal:
            return oracle.all_batches(journal, names)

    def put_back(self, names: tuple[str, ...], now: Sequence[Batch]) -> bool:
        """Let the copy be the state folder if it is older than the journal is `now`; say whether it is."""
        older = is_older(self.batches(names), now)
        if older:
            shutil.rmtree(self.state)
            self.kept.rename(self.state)
        shutil.rmtree(self.kept, ignore_errors=True)
        return older


def _copied(source: str, target: str) -> None:
    """Copy a file, unless it goes meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def is_older(then: Sequence[Batch], now: Sequence[Batch]) -> bool:
    """Whether the copy is older than the journal, and everything that the journal did since can be found out."""
    after = {one.id: one for one in now}
    if {one.id for one in then} != set(after) or list(then) == list(now):
        return False
    return all(_can_be_asked(one, after[one.id]) for one in then)


def _can_be_asked(then: Batch, now: Batch) -> bool:
    """Whether the vendor can be asked for what became of a batch by what the copy knows of it."""
    if then.attempt != now.attempt:
        return False
    # Motorweb cannot be asked by our reference.
    nameless = VENDOR_OF[then.job] == BDP and then.slot is None
    return not nameless or (now.slot is None and now.doubt is then.doubt and now.phase in (Phase.PREPARED, then.phase))
