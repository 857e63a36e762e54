"""Reproducible draws."""

from __future__ import annotations

import random


def draws(seed: int | str) -> random.Random:
    """Return a source of draws that are the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - no secret is drawn
