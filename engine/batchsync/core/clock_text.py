"""Text about a vendor's clock that differs from ours."""

from __future__ import annotations

from datetime import timedelta


def describe_offset(offset: timedelta) -> str:
    """Return how far the vendor's clock is from ours, such as `20m ahead of this machine's`.

    Args:
        offset: The vendor's time minus ours.
    """
    seconds = int(abs(offset).total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (seconds % 60, "s")) if number]
    return f"{' '.join(parts[:2]) or '0s'} {'ahead of' if offset > timedelta(0) else 'behind'} this machine's"
