"""Result of one seed, as plain values that can be passed between processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """Result of one seed."""

    seed: int
    violations: list[str] = field(default_factory=list)
    #: names of the states that the seed reached
    reached: set[str] = field(default_factory=set)
    #: number of faults by kind: planned, and of those the ones that hit a request
    planned: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    #: passes and virtual hours until everything was settled
    passes: int = 0
    hours: float = 0.0
    digest: str = ""
    transcript: list[str] = field(default_factory=list)
