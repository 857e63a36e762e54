"""When to look again after a failure, as a function of the count and the batch's own name.

It draws no random number: the jitter comes from the batch id, so that a replay waits as the original did.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

_JITTER_SHARE = 0.25


def delay(failures: int, seed: str, *, first: timedelta, most: timedelta) -> timedelta:
    """Return how long to wait after the n-th failure in a row: doubling from `first`, never above `most`.

    Up to a quarter is taken off, by the seed and the count, so that many batches do not return at one instant.
    """
    longest = most.total_seconds()
    try:
        doubled = first.total_seconds() * 2.0 ** max(failures - 1, 0)
    except OverflowError:
        # What no float can hold is surely above the longest wait.
        doubled = longest
    # Compared as seconds: what has doubled freely may be more than a timedelta can hold.
    capped = timedelta(seconds=min(doubled, longest))
    return capped * (1 - _JITTER_SHARE * _share(f"{seed}:{failures}"))


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
