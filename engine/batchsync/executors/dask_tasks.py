"""What runs on a worker of Dask."""

from __future__ import annotations

from distributed import get_worker

from batchsync.executors.pickled_calls import run_pickled_call


def run_try(payload: bytes, topic: str, number: int) -> bytes:
    """Run a call on a worker, and report that it has begun.

    Args:
        payload: The bytes of the call.
        topic: Topic of the report.
        number: Number of the try.

    Returns:
        The bytes of its answer.
    """
    worker = get_worker()
    worker.log_event(topic, {"number": number, "worker": worker.address})
    return run_pickled_call(payload)
