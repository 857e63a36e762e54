"""Idempotency keys and batch ids, derived from content: a restart computes the same names."""

from __future__ import annotations

import uuid

from batchsync.core.batch import BatchId, IdempotencyKey

#: Namespace of all derived UUIDs. After a change, vendors would see every batch and record as new.
NAMESPACE = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")


def idempotency_key(job: str, digest: str, attempt: int) -> IdempotencyKey:
    """Return the UUIDv5 by which the vendor identifies the delivery of a batch file in an attempt."""
    return IdempotencyKey(str(uuid.uuid5(NAMESPACE, f"batch\0{job}\0{digest}\0{attempt}")))


def batch_id(job: str, digest: str, first_attempt: int) -> BatchId:
    """Return the short name of a batch: the job, and twelve hex digits of a hash of digest and first attempt."""
    derived = uuid.uuid5(NAMESPACE, f"id\0{job}\0{digest}\0{first_attempt}").hex[:12]
    return BatchId(f"{job}-{derived}")
