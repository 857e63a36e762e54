"""Services for planning without contacting a vendor, taking a lease or writing to the journal."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from batchsync.core.policy import with_overrides
from batchsync.reconcile.background import InlineProducer
from batchsync.reconcile.services import JobContext, Services, StatePaths
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from batchsync.app import App
    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.core.run import Run
    from batchsync.journal import Journal
    from batchsync.ports import BaselineEntry, StateStore, Vendor


class EmptyStore:
    """State store for planning before the first run."""

    def watermark(self, job: str, account_id: str, spec_hash: str) -> str | None:  # noqa: ARG002 - the signature is that of StateStore
        """Return None: no run was settled."""
        return None

    def watermark_run(self, job: str, account_id: str, spec_hash: str) -> Run | None:  # noqa: ARG002 - the same
        """Return None: no run was settled."""
        return None

    def open_batches(self, job: str | None = None) -> tuple[Batch, ...]:  # noqa: ARG002 - the same
        """Return no batches."""
        return ()

    def baseline(self, job: str, account_id: str) -> BaselineEntry | None:  # noqa: ARG002 - the same
        """Return None: the baseline is empty."""
        return None

    def tombstones(self, _jobs: Collection[str]) -> frozenset[str]:
        """Return no hashes: no key was forgotten."""
        return frozenset()

    def last_planned(self, job: str, account_id: str) -> Run | None:  # noqa: ARG002 - the same
        """Return None: there was no run."""
        return None

    def holders(self, _account_id: str) -> tuple[str, ...]:
        """Return no jobs: nothing was delivered."""
        return ()

    def is_known_at(self, _job: str, _account_id: str) -> bool:
        """Return False: the job never ran."""
        return False

    @property
    def journal_id(self) -> str:
        """Return an empty id: nothing was run here."""
        return ""

    def applied_run(self, _plan_file: str, _job: str) -> str:
        """Return an empty name: no plan file was applied."""
        return ""

    def approved(self, job: str, plan: str) -> bool:  # noqa: ARG002 - the same
        """Return False: no plan was approved."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScratchElsewhere(StatePaths):
    """State paths with scratch files in a temporary folder."""

    scratch: Path

    def work(self, job: str) -> Path:
        """Return the scratch folder of a comparison."""
        return self.scratch / job


@contextmanager
def offline_services(app: App, journal: Journal | None) -> Iterator[Services]:
    """Yield services for planning only: a read-only state store, and sinks that only look for absent answers."""
    from batchsync.sinks import Sinks  # noqa: PLC0415 - help reads no rows

    with scratch_folder() as scratch:
        yield Services(
            clock=app.clock,
            store=cast("StateStore", journal or EmptyStore()),
            data=app.data,
            plan_rows=app.data,
            lists=app.data,
            check=app.refuse_mismatch,
            fetch=app.fetch,
            objects=app.objects,
            sinks=Sinks(app.access),
            paths=_ScratchElsewhere(state=app.settings.state_folder, scratch=scratch),
            events=app.events,
            shield=nullcontext,
            lease=lambda _: nullcontext(),
            in_background=InlineProducer,
        )


def offline_context(app: App, job: Job) -> JobContext:
    """Return the context of a job without a vendor client."""
    rules = app.rules_of(job)
    return JobContext(
        job=job,
        rules=rules,
        policy=with_overrides(rules.policy, app.connection_of(job)),
        account_id=app.account_id(job),
        vendor=cast("Vendor", None),
        declared=app.deployment.names,
    )
