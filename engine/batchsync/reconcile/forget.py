"""Forget keys: erase them from the state folder and the results of their jobs, and suppress their rows from then on.

The keys get tombstones in the transaction that erases them, so that no run sends their rows as new. Everything is
idempotent: after a crash, the same command completes what is left, and `sync` continues meanwhile.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.naming import batch_file_key, row_manifest_key
from batchsync.core.personal_data import hash_of_key
from batchsync.errors import BatchsyncError, ExitCode
from batchsync.ports import Erasure
from batchsync.reconcile.forgotten_keys import check_hash, ensure_secret, read_secret
from batchsync.reconcile.prepare import abort_preparation
from batchsync.reconcile.sweep import kept_batches, sweep
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.batch import Batch, BatchId
    from batchsync.core.job import Job
    from batchsync.reconcile.services import Services


class KeyInUseError(BatchsyncError):
    """A key cannot be forgotten yet: a batch with it is open, or its outcome is unknown."""

    exit_code = ExitCode.UNSETTLED

    def __init__(self, batch: Batch, keys: int, *, unknown: bool) -> None:
        """Create the error. Keys are not named, as messages end up in logs."""
        number = f"{keys:,} of the keys {'is' if keys == 1 else 'are'}"
        if unknown:
            self.exit_code = ExitCode.NEEDS_ATTENTION
            message = f"{number} in batch {batch.id}, whose vendor has not reported the outcome"
            hint = f"`batchsync collect {batch.id}` asks again; `batchsync resolve {batch.id} --resend` decides"
        else:
            message = f"{number} in batch {batch.id}, which is open: {batch.phase.label}"
            hint = f"`batchsync resume {batch.job}` follows it to its end; then run the same command again"
            if batch.phase is Phase.NEEDS_ATTENTION:
                self.exit_code = ExitCode.NEEDS_ATTENTION
                hint = f"`batchsync status {batch.job}` says what ends it; then run the same command again"
        super().__init__(f"{message}; nothing was forgotten", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRequest:
    """Keys of a job to forget.

    Attributes:
        job: Name of the job.
        keys: The keys, as `batchsync rejects` shows them.
        names: The names under which the journal has the job: its own first, then former ones.
        declared: The job as in jobs.yaml; None if it is not there.
    """

    job: str
    keys: Sequence[str]
    names: Sequence[str]
    declared: Job | None = None


@dataclass(slots=True, kw_only=True)
class Forgotten:
    """What was erased of a job.

    Attributes:
        job: Name of the job.
        keys: Number of keys.
        held: Number of keys of which the target holds a version, or may hold one.
        segments: Number of segments that were rewritten.
        texts: Number of rejects that were deleted, and texts that were replaced.
        files: Number of kept batch files that were deleted, and row manifests that were rewritten or deleted.
        answers: Number of answers removed from the results.
    """

    job: str
    keys: int
    held: int = 0
    segments: int = 0
    texts: int = 0
    files: int = 0
    answers: int = 0


@dataclass(slots=True)
class _Work:
    """Files of a job that contain its keys: rewritten row manifests by batch, and objects to delete."""

    manifests: dict[BatchId, str] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)


def forget(requests: Sequence[ForgetRequest], services: Services, *, by: str, reason: str) -> list[Forgotten]:
    """Forget keys of jobs. Takes the leases of the jobs and of their former names.

    Args:
        requests: The keys, by job.
        services: Where they are erased.
        by: Who asked for it, kept in the tombstones.
        reason: Why, kept in the tombstones. It must not mention a key.

    Returns:
        What was erased, by job.

    Raises:
        KeyInUseError: If a batch with a key is open, or the outcome of a key is unknown. Nothing was changed.
        LockedError: If another process runs one of the jobs, or keeps reading the journal.
        UnavailableError: If a file cannot be written. The same command continues.
        StateError: If a file of the state folder is damaged.
    """
    with ExitStack() as leases:
        for name in dict.fromkeys(name for request in requests for name in request.names):
            leases.enter_context(services.lease(name))
        for request in requests:
            _refuse_keys_in_use(request, services)
        done = [forget_in_job(request, services, by=by, reason=reason) for request in requests]
        services.store.vacuum()
    return done


def forget_in_job(request: ForgetRequest, services: Services, *, by: str, reason: str) -> Forgotten:
    """Forget keys of one job. The caller holds its leases, and has checked that no key is in use.

    Deleted content remains in the journal's file until `StateStore.vacuum`.

    Args:
        request: The keys.
        services: Where they are erased.
        by: Who asked for it.
        reason: Why.

    Returns:
        What was erased.
    """
    done = Forgotten(job=request.job, keys=len(request.keys))
    secret = ensure_secret(services)
    for name in request.names:
        abort_preparation(name, services)
    work = _Work()
    for name in request.names:
        _search_files(name, request.keys, services, work)
    entries = [entry for name in request.names for entry in services.store.baselines(name)]
    done.held = len(
        {key for entry in entries for key, held in services.data.known(entry, request.keys).items() if held}
    )
    rewritten = [(entry, services.data.erase(entry, request.keys)) for entry in entries]
    done.segments = sum(len(set(before.segments) - set(after.segments)) for before, after in rewritten)
    erasure = Erasure(
        job=request.job,
        names=request.names,
        keys=request.keys,
        hashes=[hash_of_key(secret, key) for key in request.keys],
        check=check_hash(secret),
        at=services.clock.now(),
        by=by,
        reason=reason,
        baselines=[after for before, after in rewritten if after != before],
        manifests=work.manifests,
    )
    with services.shield():
        done.texts = services.store.erase(erasure)
    done.files = len(work.manifests) + len(work.objects)
    for key in work.objects:
        services.objects.delete(key)
    done.answers = _remove_answers(request, services)
    for name in request.names:
        sweep(name, services)
    return done


def keys_in_use(request: ForgetRequest, services: Services) -> tuple[Batch, int, bool] | None:
    """Return a batch that is open or has unknown rows, the number of keys in it, and which of the two; None if none."""
    for name in request.names:
        for batch in services.store.open_batches(name):
            if found := services.data.keys_in(batch, among=request.keys):
                return batch, len(found), False
        for batch in services.store.with_unknown_rows(name):
            if unknown := set(services.store.unknown_keys(batch.id)).intersection(request.keys):
                return batch, len(unknown), True
    return None


def _refuse_keys_in_use(request: ForgetRequest, services: Services) -> None:
    """Raise KeyInUseError if a key is in a batch whose outcome is not known."""
    if (found := keys_in_use(request, services)) is not None:
        batch, keys, unknown = found
        raise KeyInUseError(batch, keys, unknown=unknown)


def _search_files(name: str, keys: Sequence[str], services: Services, work: _Work) -> None:
    """Find kept files of delivered batches with the keys; rewrite row manifests that are still needed."""
    store = services.store
    pending = [batch for batch, _ in store.pending_erasures(name)]
    needed = {batch.id: batch for batch in (*store.with_unknown_rows(name), *pending)}
    kept = {batch.id: batch for batch in kept_batches(name, services)}
    for batch in (kept | needed).values():
        manifest = row_manifest_key(name, batch.file)
        if services.objects.head(manifest) is None or not services.data.keys_in(batch, among=keys):
            continue
        if batch.id in needed:
            work.manifests[batch.id] = services.data.erase_from_manifest(batch, keys)
        else:
            work.objects.append(manifest)
        if services.objects.head(batch_file_key(name, batch.file)) is not None:
            work.objects.append(batch_file_key(name, batch.file))


def _remove_answers(request: ForgetRequest, services: Services) -> int:
    """Remove the answers of the keys from the results of the job; return their number."""
    job = request.declared
    if job is None or job.results is None:
        return 0
    folder = services.paths.work(request.job)
    make_private(folder)
    file = services.data.write_keys(job, request.keys, folder / "forgotten.parquet")
    return services.sinks.remove(job.results, file)


def known_keys(request: ForgetRequest, services: Services) -> set[str]:
    """Return those keys of a request that its job knows: by its baselines, open batches, rejects or tombstones."""
    store, found = services.store, set[str]()
    for name in request.names:
        for entry in store.baselines(name):
            found |= services.data.known(entry, request.keys).keys()
        for batch in store.open_batches(name):
            found |= set(services.data.keys_in(batch, among=request.keys))
    found |= set(store.mentioned(request.names, [key for key in request.keys if key not in found]))
    if store.tombstones(request.names):
        secret = read_secret(services)
        hashes = store.tombstones(request.names)
        found |= {key for key in request.keys if hash_of_key(secret, key) in hashes}
    return found
