"""The names that vendors and we know things by, derived from content, never drawn: a restart computes the same ones.

It does not know how a vendor spells its identifiers beyond "a UUID" and "a text".
"""

from __future__ import annotations

import uuid

from lading.core.batch import BatchId, Ticket

#: The namespace of every UUID that lading derives. Changing it would make every vendor see new batches and records.
NAMESPACE = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")


def ticket(job: str, digest: str, attempt: int) -> Ticket:
    """Return the UUIDv5 that the vendor knows this delivery by: a function of job, content digest and attempt."""
    return Ticket(str(uuid.uuid5(NAMESPACE, f"batch\0{job}\0{digest}\0{attempt}")))


def batch_id(job: str, digest: str, first_attempt: int) -> BatchId:
    """Return our own short name for a batch: the job, and twelve digits of what it holds and when it began."""
    derived = uuid.uuid5(NAMESPACE, f"id\0{job}\0{digest}\0{first_attempt}").hex[:12]
    return BatchId(f"{job}-{derived}")
