"""Exponential backoff with deterministic jitter, so that a replay waits as long as the original did."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta

_JITTER_FRACTION = 0.25
#: Shortest longest wait that `failures_within` counts with, in seconds.
_SHORTEST = 1.0


def delay(failures: int, seed: str, *, first: timedelta, maximum: timedelta) -> timedelta:
    """Return how long to wait after the n-th failure in a row.

    Args:
        failures: Number of failures in a row.
        seed: Id of the batch; up to a quarter is subtracted, depending on it and the number, so that batches spread.
        first: Wait after the first failure; it doubles with each failure.
        maximum: Longest wait.
    """
    longest = maximum.total_seconds()
    try:
        doubled = first.total_seconds() * 2.0 ** max(failures - 1, 0)
    except OverflowError:
        # A number that no float can represent exceeds the longest wait.
        doubled = longest
    # Compared as seconds: the doubled number may exceed the range of timedelta.
    capped = timedelta(seconds=min(doubled, longest))
    return capped * (1 - _JITTER_FRACTION * _jitter(f"{seed}:{failures}"))


def failures_within(duration: timedelta, *, first: timedelta, maximum: timedelta) -> int:
    """Return after how many failures in a row the waits between them add up to at least a duration.

    Counted with the shortest waits that the jitter allows. A bound by this number does not run out while no process
    runs: the vendor is always asked before a batch is parked.

    Args:
        duration: The duration.
        first: Wait after the first failure; it doubles with each failure.
        maximum: Longest wait; less than a second counts as a second.
    """
    longest = max(maximum.total_seconds(), _SHORTEST)
    wait, waited, failures = first.total_seconds(), 0.0, 0
    shortest = 1 - _JITTER_FRACTION
    while 0 < wait < longest and waited < duration.total_seconds():
        waited, failures, wait = waited + shortest * wait, failures + 1, 2 * wait
    left = max(duration.total_seconds() - waited, 0.0)
    return failures + math.ceil(left / (shortest * longest))


def _jitter(text: str) -> float:
    """Return a number in [0, 1) derived from the text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
