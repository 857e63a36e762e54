"""Switches of the generic mock, the same for every vendor."""

from __future__ import annotations

from dataclasses import dataclass

from batchsync_mocks.switches import choice, non_negative, positive_or_null


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericSwitches:
    """Switches of a vendor of a folder."""

    end: str = choice(
        "by_rows",
        "refused",
        "expired",
        "cancelled",
        "never",
        description="how batches end: by their rows, or all alike",
    )
    visible_after: float = non_negative(0, description="seconds until the vendor notices an uploaded file")
    processing: float = non_negative(60, description="seconds of processing")
    logs_after: float = non_negative(0, description="seconds after the end until row logs and results are available")
    url_lifetime: int = choice(3600, 60, 900, 604800, description="seconds of validity of signed URLs and tokens")
    retention: int | None = positive_or_null(None, description="seconds after which a batch expires; null: never")
    page_size: int | None = positive_or_null(None, description="rows in a page of a row log in pages; null: all")
    reject_every: int | None = positive_or_null(None, description="every n-th row of a file is rejected")
