"""Runs a target for a while, and keeps the inputs that raise what is not declared."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fuzz.mutation import mutated
from fuzz.targets import TARGETS_BY_NAME
from kit.draws import draws

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Findings:
    """Result of a run.

    Attributes:
        inputs: Number of inputs.
        failed: Number of each input that raised what is not declared, with the error.
    """

    inputs: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def fuzz(name: str, folder: Path, *, seed: int, seconds: float, first: int = 0, inputs: int | None = None) -> Findings:
    """Run a target.

    Args:
        name: Name of the target.
        folder: Empty folder for its files.
        seed: Seed of all inputs; input `n` is the same in each run with this seed.
        seconds: Time limit.
        first: Number of the first input.
        inputs: Number of inputs, if limited.

    Returns:
        What was found; at most 20 failures.
    """
    target = TARGETS_BY_NAME[name](folder)
    found, ends, number = Findings(), time.monotonic() + seconds, first
    while time.monotonic() < ends and (inputs is None or found.inputs < inputs) and len(found.failed) < 20:
        random = draws(f"{seed}:{number}")
        data = mutated(random, target.examples, target.tokens)
        (folder / "input").write_bytes(data)
        try:
            target.run(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            found.failed[number] = f"{type(error).__name__}: {str(error)[:300]} for {data[:200]!r}"
        found.inputs += 1
        number += 1
    return found
