"""Planted bugs: plausible mistakes, each violating one rule of DESIGN.md section 4; the simulation must find them.

A planted bug replaces one function of batchsync for a `with` block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.plants import rows, runtime, vendor_calls

if TYPE_CHECKING:
    from simulation.plants.plant import Plant

PLANTS: dict[str, Plant] = {**vendor_calls.PLANTS, **rows.PLANTS, **runtime.PLANTS}
