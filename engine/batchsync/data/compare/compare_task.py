"""A task is some rows and all that it takes to prepare them; what comes of it depends on nothing else.

It does not know who runs it. Tasks and what they return are plain and picklable; the functions share nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.encode import Encoded, encode_ahead, encode_changes, encode_removals
from lading.data.examine import Examined, examine
from lading.data.joins import join_all
from lading.data.keys import keyed
from lading.data.ranks import greatest
from lading.data.recipe import Prepared, prepared

if TYPE_CHECKING:
    from lading.data.parts import Part


@dataclass(frozen=True, slots=True)
class KeyTask:
    """Give the rows of a part their keys."""

    recipe: bytes
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """The rows of a part with a key, and those without one as invalid rows; `most` is the greatest of `since`."""

    rows: pl.DataFrame
    count: int
    last: int
    lost: pl.DataFrame
    most: pl.Series | None


@dataclass(frozen=True, slots=True)
class CompareTask:
    """Find out what a part holds, or keyed rows; `ahead` wants the good records packed too."""

    recipe: bytes
    rows: Part | pl.DataFrame
    ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a part holds. `keyed` has the counts of its rows, without the rows; None for rows that had their keys."""

    examined: Examined
    keyed: Keyed | None
    encoded: Encoded | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTask:
    """Pack the rows that are to be sent.

    `parts` each go with what the comparison found about some of their rows, in order; `rows` are keyed already or are
    keys to remove. `first` is the number of the first record within the run.
    """

    recipe: bytes
    first: int
    parts: tuple[tuple[Part, pl.DataFrame], ...] = ()
    rows: pl.DataFrame | None = None
    removal: bool = False


def prepare_keys(task: KeyTask) -> Keyed:
    """Return the rows of a part with their keys.

    Raises:
        SourceError: when the part cannot be read.
    """
    return _keyed(prepared(task.recipe), task.part)


def _keyed(made: Prepared, part: Part) -> Keyed:
    """Return the rows of a part with their keys."""
    plan = made.plan
    rows = join_all(part.read(), made.lookups)
    since = plan.job.send.since
    most = None if since is None or not rows.height else _most(rows[since])
    kept, lost = keyed(plan, rows)
    return Keyed(rows=kept, count=rows.height, last=part.last, lost=lost, most=most)


def _most(values: pl.Series) -> pl.Series:
    """Return the greatest of some values, alone."""
    most = greatest(values) if values.dtype == pl.String else values.max()
    return pl.Series(values.name, [most], dtype=values.dtype)


def prepare_comparison(task: CompareTask) -> Compared:
    """Return what some rows hold.

    Raises:
        SourceError: when the part cannot be read.
    """
    made = prepared(task.recipe)
    about = None
    if isinstance(task.rows, pl.DataFrame):
        rows = task.rows
    else:
        found = _keyed(made, task.rows)
        rows = found.rows
        about = Keyed(rows=rows.clear(), count=found.count, last=found.last, lost=found.lost, most=found.most)
    examined, mapped = examine(made.plan, rows, made.checks, made.high_water)
    encoded = encode_ahead(made.plan, mapped) if task.ahead else None
    return Compared(examined=examined, keyed=about, encoded=encoded)


def prepare_lines(task: StageTask) -> Encoded:
    """Return the packed lines of the rows that are to be sent, with their evidence.

    Raises:
        SourceError: when a row is not what was compared.
    """
    made = prepared(task.recipe)
    if task.rows is not None:
        encode = encode_removals if task.removal else encode_changes
        return encode(made.plan, task.rows, task.first)
    rows = pl.concat([_picked(part.read(), sent) for part, sent in task.parts])
    kept, _ = keyed(made.plan, join_all(rows, made.lookups))
    return encode_changes(made.plan, kept, task.first)


def _picked(frame: pl.DataFrame, sent: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a part that are to be sent; when they are few, with texts of their own.

    Rows that were picked from a part go on holding all the text of the part, so a few of each of many parts would hold
    the whole source.
    """
    found = with_changes(frame, sent, names.ROW)
    if 2 * found.height > frame.height:
        return found
    texts = [name for name, kind in found.schema.items() if kind == pl.String]
    return found.with_columns(
        pl.Series(name, found[name].to_arrow(compat_level=pl.CompatLevel.oldest())) for name in texts
    )


def with_changes(frame: pl.DataFrame, sent: pl.DataFrame, row: str) -> pl.DataFrame:
    """Return the rows of a frame that are to be sent, with what the comparison found about them."""
    return frame.join(sent, left_on=row, right_on=names.SENT_ROW, how="inner", maintain_order="left")
