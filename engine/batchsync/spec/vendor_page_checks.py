"""Check the pages of the documents of a `vendor.yaml`: a position is given in one way, and completely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.vendor_rules import LogFormat
from batchsync.spec.vendor_placeholders import downloads_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.spec.vendor_call_models import PagesModel
    from batchsync.spec.vendor_model import VendorModel


def check_pages(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each key of pages that contradicts another one.

    Args:
        model: A `vendor.yaml` of valid types.
    """
    for at, download in downloads_of(model):
        if download.pages is None:
            continue
        yield from _of_pages(f"{at}.pages", download.pages)
        is_errors = at.startswith("errors.")
        if not is_errors or model.row_log.errors.format is not LogFormat.JSON or download.save_as.endswith(".csv"):
            yield f"{at}.pages", "needs a list of rejected rows in JSON (row_log.errors.format: json)"


def _of_pages(at: str, pages: PagesModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each key of one block."""
    if sum(map(bool, (pages.next, pages.offset, pages.page))) != 1:
        yield at, "must have one of next, offset and page"
        return
    if pages.param and not pages.next:
        yield f"{at}.param", "is the parameter of a cursor, which needs next"
    if bool(pages.limit) != bool(pages.size):
        yield f"{at}.limit", "must be given with size, the number of items that it asks for"
    if pages.next:
        for key in ("limit", "items", "total"):
            if getattr(pages, key):
                yield f"{at}.{key}", "needs offset or page"
    elif not pages.items:
        yield f"{at}.items", "must be the pointer to the list, so that the last page is noticed"
