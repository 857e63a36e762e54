"""Expressions whose values are lists, as items of a list: each value gives as many items as it has, nulls left out.

The leaf column holds the items as JSON text without brackets, null without items; a further column holds the items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.coerce import coerce, is_raw
from batchsync.data.mapping.compiled import item_type
from batchsync.data.mapping.escape import escaped

if TYPE_CHECKING:
    from batchsync.data.mapping.shapes import Leaf

_ROW, _ITEM = "batchsync:i", "batchsync:x"


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Columns of a leaf whose values are lists.

    Attributes:
        text: The items as JSON, separated by commas; null without items.
        items: The coerced items; null without items.
        failed: Whether an item cannot be coerced.
    """

    text: pl.Series
    items: pl.Series
    failed: pl.Series


def list_columns(values: pl.Series, leaf: Leaf) -> ListColumns:
    """Return the columns of a leaf from its computed values.

    Args:
        values: Lists, one per row; the type is that of `leaf`.
        leaf: The leaf; its rule is that of an item.
    """
    kind = item_type(values.dtype) or pl.String()
    rows = pl.Series(_ROW, range(values.len()), dtype=pl.Int64)
    flat = (
        pl.DataFrame([rows, values.alias(_ITEM).cast(pl.List(kind))]).explode(_ITEM).filter(pl.col(_ITEM).is_not_null())
    )
    coerced = coerce(flat[_ITEM], leaf.rule).alias(_ITEM)
    if coerced.dtype != pl.String or is_raw(kind, leaf.rule):
        text = pl.col(_ITEM).cast(pl.String)
    else:
        text = pl.concat_str([pl.lit('"'), escaped(pl.col(_ITEM)), pl.lit('"')])
    bad = flat[_ROW].filter(coerced.is_null()).unique()
    items = flat.select(_ROW).with_columns(coerced, text=coerced.to_frame().select(text.alias("text"))["text"])
    grouped = items.drop_nulls().group_by(_ROW, maintain_order=True).agg(_ITEM, pl.col("text").str.join(","))
    whole = rows.to_frame().join(grouped, on=_ROW, how="left", maintain_order="left")
    return ListColumns(
        text=whole["text"].alias(names.leaf_column(leaf.index)),
        items=whole[_ITEM].alias(names.items_column(leaf.index)),
        failed=rows.is_in(bad.implode()),
    )
