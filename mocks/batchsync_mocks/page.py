"""The page at `/_mock/` for people: batches, faults, requests, and a clock with buttons. HTML without anything else.

It does not know any vendor; it shows what the control pages tell.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOWN = 200
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
const said=document.getElementById("said");
async function ask(path,body){
 const answer=await fetch(path,{method:"POST",headers:{"Content-Type":"application/json"},body:JSON.stringify(body)});
 if(answer.ok){location.reload()}else{said.textContent=(await answer.json()).error}
}
for(const button of document.querySelectorAll("button[data-ask]")){
 button.addEventListener("click",()=>ask(button.dataset.ask,JSON.parse(button.dataset.body||"{}")))
}
document.getElementById("by").addEventListener("submit",event=>{
 event.preventDefault();ask("clock",{advance:Number(document.getElementById("seconds").value)})
});
"""
_JUMPS = (("1 minute", 60), ("15 minutes", 900), ("1 hour", 3600), ("1 day", 86_400), ("30 days", 2_592_000))


def show(
    vendors: Mapping[str, Sequence[Mapping[str, Any]]],
    clock: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> Response:
    """Answer with the page: batches by vendor, the clock's report, the faults' report, the last requests."""
    parts = [
        "<h1>Mocks of file-batch vendors</h1>",
        _clock(clock),
        *(_batches(name, batches) for name, batches in vendors.items()),
        _faults(faults),
        _requests(requests),
    ]
    head = f'<meta charset="utf-8"><title>Mocks</title><style>{_STYLE}</style>'
    body = f"<main>{''.join(parts)}</main><script>{_SCRIPT}</script>"
    answer = Response(f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>')
    answer.content_type = "text/html; charset=utf-8"
    return answer


def _clock(clock: Mapping[str, Any]) -> str:
    ways = [word for word in ("frozen", "auto") if clock[word]] or [f"flows at {clock['rate']:g}"]
    jumps = "".join(_button(f"+ {name}", "clock", f'{{"advance":{seconds}}}') for name, seconds in _JUMPS)
    turns = "".join(
        _button(label, "clock", f'{{"{word}":{"false" if clock[word] else "true"}}}')
        for word, label in (
            ("frozen", "Let it flow" if clock["frozen"] else "Freeze"),
            ("auto", "No more automatic jumps" if clock["auto"] else "Jump by itself"),
        )
    )
    form = (
        '<form id="by"><label>Seconds <input id="seconds" type="number" value="60" step="any" required></label> '
        "<button>Advance</button></form>"
    )
    return (
        f'<h2>Clock</h2><p><span class="clock">{escape(str(clock["iso"]))}</span> '
        f'<span class="quiet">{escape(", ".join(ways))}</span></p><p>{jumps}</p><p>{turns}</p>{form}'
        '<p role="alert" id="said"></p>'
    )


def _batches(vendor: str, batches: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            one.get("batchId") or one.get("ref", ""),
            one.get("userBatchRef", ""),
            one["status"],
            one.get("createdDatetime") or one.get("createdAt", ""),
            one["uploads"],
            _counts(one),
            one["note"],
        )
        for one in reversed(batches[-_SHOWN:])
    ]
    return f"<h2>{escape(vendor)}: {len(batches)} batch(es)</h2>" + _table(
        ("Batch", "Reference", "Status", "Made", "Uploads", "Rows", "Note"), rows, "No batch yet."
    )


def _counts(batch: Mapping[str, Any]) -> str:
    names = ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")
    counts = batch.get("counts") or {name: batch.get(name) for name in names}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count is not None)


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["kind"],
            one["vendor"] or "all",
            one["method"] or "all",
            one["path"],
            one["chance"] or "",
            one["met"],
            one["struck"],
        )
        for one in faults
    ]
    heads = ("Fault", "Vendor", "Method", "Path", "Chance", "Met", "Struck")
    disarm = _button("Revoke tokens", "tokens/revoke", "{}") + _button("Start over", "reset", "{}")
    return f"<h2>Faults</h2>{_table(heads, rows, 'No fault is armed.')}<p>{disarm}</p>"


def _requests(requests: Sequence[Mapping[str, Any]]) -> str:
    rows = [(one["vendor"], one["method"], one["path"]) for one in reversed(requests[-30:])]
    return "<h2>Last requests</h2>" + _table(("Vendor", "Method", "Path"), rows, "Nobody has asked anything yet.")


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> str:
    filled = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    if not filled:
        return f'<p class="quiet">{escape(nothing)}</p>'
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{filled}</tbody></table>"


def _button(label: str, path: str, body: str) -> str:
    return f'<button type="button" data-ask="{path}" data-body="{escape(body)}">{escape(label)}</button>'
