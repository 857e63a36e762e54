"""Bugs that somebody could write tomorrow, each breaking one law of DESIGN.md section 4, to prove that they are found.

A plant patches one function for the length of a `with`. Nothing of batchsync knows of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.plants import doubt, machine, rows

if TYPE_CHECKING:
    from simulation.plants.plant import Plant

PLANTS: dict[str, Plant] = {**doubt.PLANTS, **rows.PLANTS, **machine.PLANTS}
