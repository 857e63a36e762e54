"""A world in which a plan can be made without contacting a vendor, taking a lease or writing to the journal.

It does not know how a plan is made.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lading.aside import Inline
from lading.reconcile.context import Folders, JobContext, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.app import App
    from lading.core.batch import Batch
    from lading.core.job import Job
    from lading.core.run import Run
    from lading.journal import Journal
    from lading.ports import BaselineEntry, Memory, Sink, Vendor


class NothingYet:
    """What a plan asks of the journal, before there is one."""

    def high_water(self, job: str, identity: str, spec_hash: str) -> str | None:  # noqa: ARG002 - the signature is that of Memory
        """Return that no run was settled."""
        return None

    def open_batches(self, job: str | None = None) -> tuple[Batch, ...]:  # noqa: ARG002 - the same
        """Return that nothing is open."""
        return ()

    def baseline(self, job: str, identity: str) -> BaselineEntry | None:  # noqa: ARG002 - the same
        """Return that the target is known to hold nothing."""
        return None

    def last_planned(self, *_: str) -> Run | None:
        """Return that there was no run."""
        return None

    def approved(self, job: str, plan: str) -> bool:  # noqa: ARG002 - the same
        """Return that nobody approved anything."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScratchElsewhere(Folders):
    """The state folder, but scratch files go to a folder that is gone afterwards."""

    scratch: Path

    def work(self, job: str) -> Path:
        """Return the scratch folder of a comparison."""
        return self.scratch / job


@contextmanager
def offline_world(app: App, journal: Journal | None) -> Iterator[World]:
    """Give a world for planning only: its memory cannot be written, its sinks do not exist."""
    with tempfile.TemporaryDirectory(prefix="lading-plan-") as scratch:
        yield World(
            clock=app.clock,
            memory=cast("Memory", journal or NothingYet()),
            data=app.data,
            # A plan delivers nothing: reaching for a sink would be a defect.
            sinks=cast("Sink", None),
            folders=_ScratchElsewhere(state=app.settings.state_folder, scratch=Path(scratch)),
            watcher=app.watcher,
            shield=nullcontext,
            lease=lambda _: nullcontext(),
            aside=Inline,
        )


def offline_context(app: App, job: Job) -> JobContext:
    """Return a job without a vendor: nothing can be asked of one."""
    rules = app.rules_of(job)
    return JobContext(
        job=job, rules=rules, policy=rules.policy, identity=app.identity(job), vendor=cast("Vendor", None)
    )
