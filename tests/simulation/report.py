"""How one seed went, as plain values that pass from process to process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """How one seed went."""

    seed: int
    violations: list[str] = field(default_factory=list)
    sometimes: set[str] = field(default_factory=set)
    planned: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    #: passes and virtual hours after which everything was at rest
    passes: int = 0
    hours: float = 0.0
    digest: str = ""
    transcript: list[str] = field(default_factory=list)
