"""Port of the state store, which the journal implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from batchsync.core.account_limits import AccountLimits, InFlight, Reservation
    from batchsync.core.batch import Batch
    from batchsync.core.events import CollectedAgain, Delivered, Event, Resolved
    from batchsync.core.personal_data import Tombstone
    from batchsync.core.run import Run
    from batchsync.ports.data import BaselineEntry, Reject
    from batchsync.ports.erasure import Erasure, Expired


class StateStore(Protocol):
    """The journal as the reconcile loop uses it. Every method that writes is one transaction.

    All methods raise StateError if the journal is damaged and UnavailableError if it cannot be written; methods that
    write raise LockedError if this process lost the job's lease.
    """

    def start_run(
        self,
        run: Run,
        batches: Sequence[Batch],
        invalid: Iterable[Sequence[Reject]],
        *,
        tick: datetime | None = None,
        baseline: BaselineEntry | None = None,
    ) -> None:
        """Journal a run.

        Args:
            run: The run.
            batches: All of its batches, or the first if it is preparing.
            invalid: Its invalid rows, in chunks.
            tick: The schedule tick that the run is for; None if it was started manually.
            baseline: The new baseline of a run that assumes records to be delivered; None leaves it unchanged.
        """
        ...

    def start_applied_run(
        self, run: Run, batches: Sequence[Batch], invalid: Iterable[Sequence[Reject]], plan_file: str
    ) -> None:
        """Journal a run that applies a plan file, and that the plan file was applied to its job.

        Args:
            run: The run.
            batches: All of its batches.
            invalid: Its invalid rows, in chunks.
            plan_file: Id of the plan file.
        """
        ...

    def add_batch(self, batch: Batch, *, tick: datetime | None = None) -> Run:
        """Journal the next batch of a preparing run; the last one makes the run PREPARED and claims its tick."""
        ...

    def abort_preparation(self, run: str, at: datetime) -> Run:
        """Journal that the preparation of a run was aborted; rows in no batch are deferred to the next run."""
        ...

    def preparing_runs(self, job: str) -> Sequence[Run]:
        """Return the runs of a job that are still preparing, oldest first."""
        ...

    def record(self, batch: Batch, event: Event) -> Batch:
        """Journal an event and return the batch after it."""
        ...

    def deliver(
        self,
        batch: Batch,
        event: Delivered,
        *,
        baseline: BaselineEntry | None,
        rejects: Iterable[Sequence[Reject]],
        erasing: Sequence[str] = (),
    ) -> Batch:
        """Journal a delivery with the new baseline and the rejects; the last batch of a run settles the run.

        Args:
            batch: A COLLECTED batch.
            event: The delivery.
            baseline: The new baseline; None leaves it unchanged.
            rejects: Rejected and unknown rows, in chunks.
            erasing: Operations of the rows that erase their keys for good, so that these are to be forgotten.
        """
        ...

    def resolve(
        self,
        batch: Batch,
        event: Resolved | CollectedAgain,
        *,
        baseline: BaselineEntry,
        known: Sequence[str] = (),
        rejects: Iterable[Sequence[Reject]] = (),
    ) -> Batch:
        """Journal how the unknown rows of a delivered batch ended, and the baseline that includes them.

        Args:
            batch: The batch.
            event: The resolution by a person, or the later collection.
            baseline: The new baseline.
            known: Keys of rows that are not listed as unknown any more.
            rejects: Rows that the vendor rejected, in chunks.
        """
        ...

    def tombstones(self, jobs: Collection[str]) -> frozenset[str]:
        """Return the hashes of the forgotten keys of some jobs."""
        ...

    def tombstone(self, job: str, key_hash: str) -> Tombstone | None:
        """Return the tombstone of a key of a job, or None."""
        ...

    def erase(self, erasure: Erasure) -> int:
        """Journal that keys are forgotten, and erase them; return the number of rejects and texts erased."""
        ...

    def vacuum(self) -> None:
        """Remove deleted content from the files of the store."""
        ...

    def kept_files(self, job: str, since: datetime) -> Sequence[Batch]:
        """Return the batches of a job that were delivered at a time or later."""
        ...

    def mentioned(self, jobs: Iterable[str], keys: Collection[str]) -> Collection[str]:
        """Return those of some keys that a reject of some jobs has."""
        ...

    def reject_files(self, job: str) -> Sequence[str]:
        """Return the names of the objects with rejects of a job."""
        ...

    def pending_erasures(self, job: str) -> Sequence[tuple[Batch, tuple[str, ...]]]:
        """Return the delivered batches with keys to be forgotten, and the operations of their rows."""
        ...

    def begin_erasure(self, batch: Batch, erasing: Sequence[str]) -> None:
        """Journal that accepted rows of a delivered batch, of these operations, erased their keys for good."""
        ...

    def finish_erasure(self, batch: Batch) -> None:
        """Journal that the keys which a batch erased are forgotten."""
        ...

    def failed_keys(self, batch: str) -> Collection[str]:
        """Return the keys of rows of a delivered batch that the target did not accept, as far as it is known."""
        ...

    def prune(self, job: str, expired: Expired) -> int:
        """Delete expired rejects and runs of a job; return their number."""
        ...

    def is_prunable(self, job: str, expired: Expired) -> bool:
        """Return whether a job has expired rejects or runs."""
        ...

    def jobs(self) -> Sequence[str]:
        """Return the names of all jobs that ever ran."""
        ...

    def unknown_keys(self, batch: str) -> Sequence[str]:
        """Return the keys of the rows of a batch whose outcome is unknown."""
        ...

    def open_batches(self, job: str | None = None) -> Sequence[Batch]:
        """Return the batches that are not delivered, including those that need attention, oldest first."""
        ...

    def unresolved(self, job: str) -> Sequence[Batch]:
        """Return the delivered batches of a job with rows of unknown outcome, oldest first."""
        ...

    def with_unknown_rows(self, job: str) -> Sequence[Batch]:
        """Return the delivered batches of a job, under this name only, with rows of unknown outcome, oldest first."""
        ...

    def baseline_owner(self, batch: str) -> str:
        """Return the job that has the baseline of a batch's rows now: its own, or one that took it over."""
        ...

    def holders(self, account_id: str) -> Sequence[str]:
        """Return the jobs with a baseline or open batches at an account and target."""
        ...

    def is_known_at(self, job: str, account_id: str) -> bool:
        """Return whether a job has ever run at an account and target, or has a baseline there."""
        ...

    def baselines(self, job: str) -> Sequence[BaselineEntry]:
        """Return the baselines of a job at all accounts."""
        ...

    def take_over(self, former: str, job: str, baselines: Sequence[BaselineEntry], at: datetime) -> None:
        """Journal that a job takes over baselines of its former name, which has no open batches.

        Args:
            former: The former name.
            job: The present name.
            baselines: The baselines under the present name; those of the former name at these accounts are dropped.
            at: Time of the take-over.
        """
        ...

    def set_baseline(self, baseline: BaselineEntry) -> None:
        """Journal a baseline that keys were removed from, because they left the source and their answers are removed.

        Args:
            baseline: The new baseline of its job and account.
        """
        ...

    def batches(self, run: str) -> Sequence[Batch]:
        """Return all batches of a run."""
        ...

    def last_run(self, job: str) -> Run | None:
        """Return the newest run of a job in any state, or None."""
        ...

    def last_planned(self, job: str, account_id: str) -> Run | None:
        """Return the newest run of a job to an account that did not await approval, or None."""
        ...

    def run(self, run: str) -> Run:
        """Return a run by its id."""
        ...

    def check_lease(self, job: str) -> None:
        """Raise LockedError if another process took over the lease that this process holds for the job."""
        ...

    def baseline_jobs(self) -> Sequence[str]:
        """Return the jobs that have a baseline, also those that never ran under their present name."""
        ...

    def baseline_files(self, job: str) -> Sequence[str]:
        """Return the file names of all journaled baseline segments of a job, for all accounts."""
        ...

    def next_serial(self, job: str) -> int:
        """Return the serial number of the job's next run."""
        ...

    def attempts_used(self, job: str, digest: str) -> int:
        """Return the greatest attempt of any batch of this job and content; 0 if there is none."""
        ...

    def is_of_older_state(self, batch: str) -> bool:
        """Return whether a batch was prepared before an older copy of the state was accepted, which may have sent it.

        Args:
            batch: Id of the batch.
        """
        ...

    def may_be_followed(self, batch: str, names: Collection[str] = ()) -> bool:
        """Return whether runs that a restored state lacks may have sent rows of a batch again, in later versions.

        Args:
            batch: Id of the batch.
            names: Other names of its job, under which these runs may have been made.
        """
        ...

    def baseline(self, job: str, account_id: str) -> BaselineEntry | None:
        """Return the baseline of a job for an account, or None."""
        ...

    def watermark(self, job: str, account_id: str, spec_hash: str) -> str | None:
        """Return the greatest `since` value up to which the target holds every row as this spec maps it, or None."""
        ...

    def watermark_run(self, job: str, account_id: str, spec_hash: str) -> Run | None:
        """Return the run that `watermark` is of, or None."""
        ...

    def register_job(self, job: str, at: datetime) -> datetime:
        """Journal when a job was first seen, and return its latest claimed tick, or the time it was first seen.

        Ticks after that time are due, so that none is missed before the first run.
        """
        ...

    def claim_tick(self, job: str, tick: datetime) -> bool:
        """Claim a tick whose source cannot be used, without a run; return False if it was claimed before."""
        ...

    def calls_free_at(self, account: str, limits: AccountLimits, now: datetime) -> datetime | None:
        """Return when a call may be made within the limits of an account; None if it may be now.

        Args:
            account: Id of the account.
            limits: Its limits.
            now: Current time.
        """
        ...

    def reserve_batch(
        self,
        batch: Batch,
        account: str,
        limits: AccountLimits,
        in_flight: InFlight,
        now: datetime,
        counted_at: datetime,
    ) -> Reservation:
        """Reserve the place, rows and bytes of a batch that is about to be sent. An attempt counts once.

        Args:
            batch: The batch.
            account: Id of its account.
            limits: Limits of the account.
            in_flight: Limit of the batches that the vendor has at a time.
            now: Current time.
            counted_at: When the vendor counts the batch at the latest.

        Returns:
            Whether it may be sent now, or when to ask again.
        """
        ...

    def note_sent(self, batch: Batch, at: datetime) -> None:
        """Record when the upload of a batch has ended, which the vendor has counted by then."""
        ...

    @property
    def journal_id(self) -> str:
        """Id of the journal; copies of it have the same."""
        ...

    def applied_run(self, plan_file: str, job: str) -> str:
        """Return the run in which a job of a plan file was applied; empty if it was not."""
        ...

    def approved(self, job: str, plan: str) -> bool:
        """Return whether a person approved exactly this plan."""
        ...
