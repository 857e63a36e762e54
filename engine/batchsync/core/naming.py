"""Idempotency keys, batch ids and keys of stored objects, derived from content: a restart computes the same names."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from batchsync.core.batch import BatchId, IdempotencyKey

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile

#: Namespace of all derived UUIDs. After a change, vendors would see every batch and record as new.
NAMESPACE = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")


def idempotency_key(job: str, digest: str, attempt: int) -> IdempotencyKey:
    """Return the UUIDv5 by which the vendor identifies the delivery of a batch file in an attempt."""
    return IdempotencyKey(str(uuid.uuid5(NAMESPACE, f"batch\0{job}\0{digest}\0{attempt}")))


def batch_id(job: str, digest: str, first_attempt: int) -> BatchId:
    """Return the short name of a batch: the job, and twelve hex digits of a hash of digest and first attempt."""
    derived = uuid.uuid5(NAMESPACE, f"id\0{job}\0{digest}\0{first_attempt}").hex[:12]
    return BatchId(f"{job}-{derived}")


def staging_prefix(job: str) -> str:
    """Return the prefix of the keys of a job's batch files and row manifests."""
    return f"staging/{job}"


def baseline_prefix(job: str) -> str:
    """Return the prefix of the keys of a job's baseline segments."""
    return f"baselines/{job}"


def batch_file_key(job: str, file: BatchFile) -> str:
    """Return the key of a batch file. The journal has its location, of which only the last name counts."""
    return f"{staging_prefix(job)}/{_last_name(file.path)}"


def row_manifest_key(job: str, file: BatchFile) -> str:
    """Return the key of the row manifest of a batch file, as `batch_file_key`."""
    return f"{staging_prefix(job)}/{_last_name(file.row_manifest)}"


def segment_key(job: str, name: str) -> str:
    """Return the key of a baseline segment."""
    return f"{baseline_prefix(job)}/{name}"


def rejects_prefix(job: str) -> str:
    """Return the prefix of the keys of a job's rejects that are not rows of the journal."""
    return f"rejects/{job}"


def reject_object_key(job: str, name: str) -> str:
    """Return the key of an object with rejects."""
    return f"{rejects_prefix(job)}/{name}"


def _last_name(location: str) -> str:
    """Return the last name of a location."""
    return location.rpartition("/")[2]
