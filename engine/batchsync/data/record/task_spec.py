"""All that a task must know beside its rows, as bytes: any process makes the same plan of them, once.

It does not know rows or executors. What is made here is a function of the bytes alone.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from lading.data.joins import Lookup
from lading.data.records import Plan, compiled, plan_checks

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.data.read import Input
    from lading.data.validate import Check

#: A plan or two are kept; one holds the joined files in memory.
_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a plan is made of, all of it plain and picklable. `lookups` are files named by their digest.

    `now` is the moment that rules about the past go by; `high_water` the mark below which rows are old (None: none is).
    """

    job: Job
    rules: VendorRules
    template: tuple[str, ...] | None
    given: Input
    schema: dict[str, pl.DataType]
    lookups: tuple[tuple[tuple[str, ...], tuple[str, ...], Path], ...]
    now: datetime | None
    high_water: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan with its checks and its joined files, ready for rows."""

    plan: Plan
    checks: list[Check]
    lookups: tuple[Lookup, ...]
    high_water: str | None


def recipe_of(
    plan: Plan,
    lookups: tuple[Lookup, ...],
    work: Path,
    *,
    now: datetime | None = None,
    high_water: str | None = None,
) -> bytes:
    """Return the recipe of a plan; joined files are written to the folder `work`."""
    recipe = Recipe(
        job=plan.job,
        rules=plan.rules,
        template=plan.template,
        given=plan.given,
        schema=plan.schema,
        lookups=tuple((one.left, one.right, _written(one.table, work)) for one in lookups),
        now=now,
        high_water=high_water,
    )
    return pickle.dumps(recipe)


def _written(table: pl.DataFrame, work: Path) -> Path:
    """Write a joined file under a name that says what is in it."""
    partial = work / "lookup.partial"
    table.write_ipc(partial)
    with partial.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return partial.replace(work / f"lookup-{digest}.arrow")


@lru_cache(maxsize=_KEPT)
def prepared(recipe: bytes) -> Prepared:
    """Return what a recipe makes; the same for the same bytes, made once in each process.

    The bytes come from `recipe_of` in a process of ours and from nowhere else.
    """
    found: Recipe = pickle.loads(recipe)  # noqa: S301 - made by recipe_of and handed over by our own executor
    plan = compiled(found.job, found.rules, found.template, found.given, found.schema)
    lookups = tuple(Lookup(left, right, pl.scan_ipc(path, glob=False).collect()) for left, right, path in found.lookups)
    checks = plan_checks(plan, found.now) if found.now is not None else []
    return Prepared(plan=plan, checks=checks, lookups=lookups, high_water=found.high_water)
