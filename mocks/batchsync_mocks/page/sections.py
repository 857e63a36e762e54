"""Sections of the status page that change: clock, batches, faults and requests."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from batchsync_mocks import datetimes
from batchsync_mocks.page.html import Markup, button, long, table, text, unbroken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_JUMPS = (("1 minute", 60), ("15 minutes", 900), ("1 hour", 3600), ("1 day", 86_400), ("30 days", 2_592_000))
_MODES = (
    ("Freeze", {"frozen": True}),
    ("Unfreeze", {"frozen": False}),
    ("Enable automatic advance", {"auto": True}),
    ("Disable automatic advance", {"auto": False}),
)
_GOOD = frozenset({"success", "COMPLETED", "COMPLETE"})
_BAD = frozenset({"error", "corrupted", "FAILED", "EXPIRED", "CANCELLED"})
_COUNTS = ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorBatches:
    """Batches of a vendor: the number of all, and the last ones as `GET /_mock/batches` lists them, oldest first."""

    total: int
    last: Sequence[Mapping[str, Any]]


def clock(report: Mapping[str, Any]) -> str:
    """Return the section of the clock."""
    modes = [mode for mode in ("frozen", "auto") if report[mode]] or [f"rate {report['rate']:g}"]
    return (
        f'<h2>Clock</h2><p><span class="clock">{text(report["iso"])}</span> '
        f'<span class="quiet">{text(", ".join(modes))}</span></p>'
    )


def clock_buttons() -> str:
    """Return the buttons of the clock. They stand outside of its section, which changes while one is clicked."""
    jumps = "".join(button(f"+ {name}", "clock", {"advance": seconds}) for name, seconds in _JUMPS)
    modes = "".join(button(label, "clock", change) for label, change in _MODES)
    seconds = '<input id="seconds" type="number" value="60" step="any" required>'
    return (
        f'<p>{jumps}</p><p>{modes}</p><form id="advance"><label>Seconds {seconds}</label> '
        "<button>Advance</button></form>"
    )


def batches(vendor: str, found: VendorBatches) -> str:
    """Return the section of a vendor's batches, newest first."""
    rows = [
        (
            long(batch.get("batchId") or batch.get("ref", "")),
            batch.get("userBatchRef", ""),
            unbroken(batch["status"], _kind(batch["status"])),
            unbroken(batch.get("createdDatetime") or batch.get("createdAt", "")),
            batch["uploads"],
            _counts(batch),
            _notes(batch),
            _rows_button(vendor, batch),
        )
        for batch in reversed(found.last)
    ]
    shown = f", the last {len(found.last)}" if found.total > len(found.last) else ""
    columns = ("Batch", "Reference", "Status", "Created", "Uploads", "Counts", "Note", "Rows")
    # Sitecore's reference of the client is the id of the batch.
    kept = [number for number, name in enumerate(columns) if name != "Reference" or any(row[number] for row in rows)]
    heading = f"<h2>{text(vendor)}: {found.total} batch(es){shown}</h2>"
    return heading + table([columns[n] for n in kept], [[row[n] for n in kept] for row in rows], "No batches.")


def faults(armed: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of the armed faults."""
    rows = [
        (
            fault["kind"],
            fault["vendor"] or "all",
            fault["method"] or "all",
            fault["path"],
            "all" if fault["times"] == 0 else "" if fault["times"] is None else fault["times"],
            fault["chance"] or "",
            fault["matched"],
            fault["hits"],
        )
        for fault in armed
    ]
    columns = ("Fault", "Vendor", "Method", "Path", "Times", "Chance", "Matched", "Hits")
    return f"<h2>Faults</h2>{table(columns, rows, 'No faults are armed.')}"


def state_buttons(vendors: Sequence[str]) -> str:
    """Return the buttons that disarm faults, revoke tokens and delete the state."""
    revoke = "".join(button(f"Revoke tokens of {name}", f"tokens/revoke?vendor={name}") for name in vendors)
    buttons = button("Disarm all", "faults", method="DELETE") + revoke + button("Reset everything", "reset")
    return f"<p>{buttons}</p>"


def requests(last: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of the last requests, newest first."""
    rows = [
        (
            unbroken(datetimes.format_millis(request["at"])),
            unbroken(request["vendor"]),
            unbroken(request["method"]),
            long(request["path"]),
            _status(request),
            long("; ".join(part for part in (request["problem"], _fault_names(request["faults"])) if part)),
        )
        for request in reversed(last)
    ]
    columns = ("Time", "Vendor", "Method", "Path", "Answer", "What was wrong")
    return f"<h2>Last requests</h2>{table(columns, rows, 'No requests.')}"


def _kind(status: str) -> str:
    """Return the kind of a batch's status."""
    return "good" if status in _GOOD else "bad" if status in _BAD else "open"


def _counts(batch: Mapping[str, Any]) -> str:
    """Return the row counts of a batch as text."""
    counts = batch.get("counts") or {name: batch.get(name) for name in _COUNTS}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count is not None)


def _notes(batch: Mapping[str, Any]) -> Markup:
    """Return why a batch was not processed, and why its last upload was refused."""
    refused = f"upload refused: {batch['refused']}" if batch["refused"] else ""
    return long("; ".join(part for part in (batch["note"], refused) if part), "bad")


def _rows_button(vendor: str, batch: Mapping[str, Any]) -> Markup:
    """Return the button that shows the rows of a batch; empty if nothing was uploaded."""
    if not batch["uploads"]:
        return Markup("")
    name = text(batch.get("batchId") or batch.get("ref", ""))
    return Markup(f'<button type="button" data-rows="{name}" data-vendor="{text(vendor)}">Show rows</button>')


def _status(request: Mapping[str, Any]) -> Markup:
    """Return the status of the answer to a request."""
    status = request["status"]
    if status is None:
        return unbroken("none" if request["problem"] else "...", "bad" if request["problem"] else "open")
    return unbroken(status, "bad" if status >= HTTPStatus.BAD_REQUEST else "good")


def _fault_names(kinds: Sequence[str]) -> str:
    """Return the faults that hit a request as text."""
    return f"fault: {', '.join(kinds)}" if kinds else ""
