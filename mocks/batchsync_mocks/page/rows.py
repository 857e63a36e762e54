"""Rows of a batch on the status page, in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsync_mocks import exact_numbers
from batchsync_mocks.ledger import OUTCOMES
from batchsync_mocks.page.html import long, table, text, unbroken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync_mocks.batch_rows import RowPage

_OPTIONS = "".join(f'<option value="{name}">{name}</option>' for name in OUTCOMES)
#: The panel that the script fills; it stays as it is while the other sections change.
PANEL = (
    '<section id="rows" hidden><h2>Rows of <span id="rows-batch"></span></h2>'
    '<p><label>Outcome <select id="rows-outcome"><option value="">all</option>'
    f"{_OPTIONS}</select></label> "
    '<button type="button" id="rows-first">First</button><button type="button" id="rows-previous">Previous</button>'
    '<button type="button" id="rows-next">Next</button><button type="button" id="rows-close">Close</button></p>'
    '<div id="rows-table"></div></section>'
)
_KINDS = {"accepted": "good", "rejected": "bad", "unprocessed": "bad", "pending": "open"}


def _caption(page: RowPage) -> str:
    """Return which rows a page shows, as text."""
    if not page.rows:
        return "No rows."
    total = f" of {page.total:,}" if page.total is not None else ""
    return f"Rows {page.offset + 1:,} to {page.offset + len(page.rows):,}{total}"


def _table(page: RowPage) -> str:
    """Return the table of a page of rows."""
    if page.rows and "errorType" in page.rows[0]:
        columns: tuple[str, ...] = ("Line", "Outcome", "Error", "Row")
        cells = [
            (row["line"], _outcome(row), long(_motorweb_error(row)), long(_json(row["columns"]))) for row in page.rows
        ]
        return table(columns, cells, "No rows.")
    columns = ("Line", "Outcome", "Error", "Ref", "Schema", "Mode", "Value")
    cells_of_records = [
        (
            row["line"],
            _outcome(row),
            long(_sitecore_error(row)),
            long(row.get("ref", "")),
            row["schema"] or "",
            row["mode"] or "",
            long(_json(row.get("value", row.get("columns")))),
        )
        for row in page.rows
    ]
    return table(columns, cells_of_records, "No rows.")


def fragment(page: RowPage) -> str:
    """Return a page of rows as HTML, with what the script needs for the next one."""
    more = "true" if page.more else "false"
    return (
        f'<p class="quiet" data-offset="{page.offset}" data-limit="{page.limit}" data-more="{more}">'
        f"{text(_caption(page))}</p>{_table(page)}"
    )


def _outcome(row: Mapping[str, Any]) -> object:
    """Return the outcome of a row, coloured."""
    return unbroken(row["outcome"], _KINDS[row["outcome"]])


def _motorweb_error(row: Mapping[str, Any]) -> str:
    """Return the error of a row."""
    return f"{row['errorType']}: {row['errorDescription']}" if row["errorType"] else ""


def _sitecore_error(row: Mapping[str, Any]) -> str:
    """Return the error of a record: its line of the log, and why the mock refused it."""
    logged = f"{row['code']} {row['message']}" if row["code"] else row["message"] or ""
    return f"{logged} ({row['detail']})" if row["detail"] else logged


def _json(value: object) -> str:
    """Return a value as readable JSON, with its letters instead of escapes."""
    return exact_numbers.dumps(value, ensure_ascii=False)
