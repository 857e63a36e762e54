"""Renames of jobs between two processes, and processes that die while they take over a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from simulation.deployment import Sources

#: probability of a rename between two processes, and of a crash in the first take-over after it
_CHANCE = 0.15


def rename_any(sources: Sources, draw: random.Random) -> str:
    """Rename a job, or none; return the description of the edit, empty if there is none."""
    return sources.rename(draw.choice(sources.names)) if draw.random() < _CHANCE else ""


def crash_in_take_over(sources: Sources, draw: random.Random) -> tuple[str, int] | None:
    """Return the checkpoint at which the process dies and its number, or None to leave it as it was drawn."""
    return ("^take_over:", draw.choice([1, 2, 3])) if sources.formers and draw.random() < _CHANCE else None
