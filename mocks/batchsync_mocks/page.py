"""Status page at `/_mock/`: batches, faults, requests, and a clock with buttons. Plain HTML.

The buttons need the control token, which the page asks for: a page that contained it would hand it to every program
that can open a connection. The browser keeps it until the tab is closed.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MAX_BATCHES = 200
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1b1f;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:break-word}
th{font-weight:600;white-space:nowrap}table{display:block;overflow-x:auto}
button{font:inherit;padding:.3rem .8rem;margin-right:.4rem;cursor:pointer}
.clock{font:600 1.5rem ui-monospace,monospace}.quiet{color:#5c5c66}[role=alert]{color:#a40000}
@media(prefers-color-scheme:dark){body{color:#eee;background:#18181b}th,td{border-color:#3a3a40}.quiet{color:#a0a0a8}
[role=alert]{color:#ff8a80}}
"""
_SCRIPT = """
const message=document.getElementById("message");
const token=document.getElementById("token");
token.value=sessionStorage.getItem("token")||"";
token.addEventListener("change",()=>sessionStorage.setItem("token",token.value));
async function send(path,body){
 const headers={"Authorization":"Bearer "+token.value,"Content-Type":"application/json"};
 const answer=await fetch(path,{method:"POST",headers,body:JSON.stringify(body)});
 if(answer.ok){location.reload()}else{message.textContent=(await answer.json()).error}
}
for(const button of document.querySelectorAll("button[data-path]")){
 button.addEventListener("click",()=>send(button.dataset.path,JSON.parse(button.dataset.body||"{}")))
}
document.getElementById("advance").addEventListener("submit",event=>{
 event.preventDefault();send("clock",{advance:Number(document.getElementById("seconds").value)})
});
"""
_LOGIN = (
    '<p><label>Control token <input id="token" type="password" size="36" autocomplete="off"></label> '
    '<span class="quiet">printed when the mocks start; needed by the buttons</span></p>'
)
_JUMPS = (("1 minute", 60), ("15 minutes", 900), ("1 hour", 3600), ("1 day", 86_400), ("30 days", 2_592_000))


def show(
    vendors: Mapping[str, Sequence[Mapping[str, Any]]],
    clock: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> Response:
    """Return the page.

    Args:
        vendors: Batches by vendor, as `GET /_mock/batches` lists them.
        clock: Report of the clock.
        faults: Report of the armed faults.
        requests: The last requests: `vendor`, `method`, `path`.
    """
    parts = [
        "<h1>Mocks of file-batch vendors</h1>",
        _LOGIN,
        _clock(clock),
        *(_batches(name, batches) for name, batches in vendors.items()),
        _faults(faults),
        _requests(requests),
    ]
    head = f'<meta charset="utf-8"><title>Mocks</title><style>{_STYLE}</style>'
    body = f"<main>{''.join(parts)}</main><script>{_SCRIPT}</script>"
    response = Response(f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>')
    response.content_type = "text/html; charset=utf-8"
    # No page of another site may embed this one, so that none can trick its user into clicking a button.
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src '{_source_hash(_STYLE)}'; script-src '{_source_hash(_SCRIPT)}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


def _source_hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _clock(clock: Mapping[str, Any]) -> str:
    """Return the section of the clock."""
    modes = [mode for mode in ("frozen", "auto") if clock[mode]] or [f"rate {clock['rate']:g}"]
    jumps = "".join(_button(f"+ {name}", "clock", f'{{"advance":{seconds}}}') for name, seconds in _JUMPS)
    toggles = "".join(
        _button(label, "clock", f'{{"{mode}":{"false" if clock[mode] else "true"}}}')
        for mode, label in (
            ("frozen", "Unfreeze" if clock["frozen"] else "Freeze"),
            ("auto", "Disable automatic advance" if clock["auto"] else "Enable automatic advance"),
        )
    )
    form = (
        '<form id="advance"><label>Seconds <input id="seconds" type="number" value="60" step="any" required></label> '
        "<button>Advance</button></form>"
    )
    return (
        f'<h2>Clock</h2><p><span class="clock">{escape(str(clock["iso"]))}</span> '
        f'<span class="quiet">{escape(", ".join(modes))}</span></p><p>{jumps}</p><p>{toggles}</p>{form}'
        '<p role="alert" id="message"></p>'
    )


def _batches(vendor: str, batches: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of a vendor's batches, newest first."""
    rows = [
        (
            batch.get("batchId") or batch.get("ref", ""),
            batch.get("userBatchRef", ""),
            batch["status"],
            batch.get("createdDatetime") or batch.get("createdAt", ""),
            batch["uploads"],
            _counts(batch),
            batch["note"],
        )
        for batch in reversed(batches[-_MAX_BATCHES:])
    ]
    return f"<h2>{escape(vendor)}: {len(batches)} batch(es)</h2>" + _table(
        ("Batch", "Reference", "Status", "Created", "Uploads", "Rows", "Note"), rows, "No batches."
    )


def _counts(batch: Mapping[str, Any]) -> str:
    """Return the row counts of a batch as text."""
    names = ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")
    counts = batch.get("counts") or {name: batch.get(name) for name in names}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count is not None)


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of the armed faults."""
    rows = [
        (
            fault["kind"],
            fault["vendor"] or "all",
            fault["method"] or "all",
            fault["path"],
            fault["chance"] or "",
            fault["matched"],
            fault["hits"],
        )
        for fault in faults
    ]
    columns = ("Fault", "Vendor", "Method", "Path", "Chance", "Matched", "Hits")
    buttons = _button("Revoke tokens", "tokens/revoke", "{}") + _button("Reset", "reset", "{}")
    return f"<h2>Faults</h2>{_table(columns, rows, 'No faults are armed.')}<p>{buttons}</p>"


def _requests(requests: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of the last requests, newest first."""
    rows = [(request["vendor"], request["method"], request["path"]) for request in reversed(requests[-30:])]
    return "<h2>Last requests</h2>" + _table(("Vendor", "Method", "Path"), rows, "No requests.")


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], placeholder: str) -> str:
    """Return a table, or a placeholder if it has no rows."""
    filled = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    if not filled:
        return f'<p class="quiet">{escape(placeholder)}</p>'
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{filled}</tbody></table>"


def _button(label: str, path: str, body: str) -> str:
    """Return a button that posts a body to a path."""
    return f'<button type="button" data-path="{path}" data-body="{escape(body)}">{escape(label)}</button>'
