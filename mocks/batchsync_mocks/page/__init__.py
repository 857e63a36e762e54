"""Status page at `/_mock/`: clock, batches with their rows, faults to arm, and the last requests with their outcomes.

Every section is HTML that is made here, so that values are escaped in one place. The script replaces the sections that
have changed, once a second. Buttons and rows need the control token, which the page asks for: a page that contained it
would hand it to every program that can open a connection. The browser keeps it until the tab is closed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from batchsync_mocks import responses
from batchsync_mocks.page import fault_buttons, rows, sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync_mocks.batch_rows import RowPage

#: Batches of a vendor, and requests, that the page shows.
MAX_BATCHES, MAX_REQUESTS = 200, 100
_HEADER = """
<header><h1>Mocks of file-batch vendors</h1><p id="state" role="status">Connecting</p></header>
<p class="login"><label>Control token <input id="token" type="password" size="36" autocomplete="off"></label>
<span class="quiet">printed when the mocks start; needed by buttons and rows</span></p>
<p role="alert" id="message"></p>
"""


def show(
    vendors: Mapping[str, sections.VendorBatches],
    clock: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> Response:
    """Return the page.

    Args:
        vendors: Batches by vendor.
        clock: Report of the clock.
        faults: Report of the armed faults.
        requests: The last requests, oldest first.
    """
    parts = _parts(vendors, clock, faults, requests)
    live = {name: f'<section id="{name}">{html}</section>' for name, html in parts.items()}
    names = list(vendors)
    body = "".join(
        [
            _HEADER,
            live["clock"],
            sections.clock_buttons(),
            *(live[f"batches-{number}"] for number in range(len(names))),
            rows.PANEL,
            live["faults"],
            sections.state_buttons(names),
            fault_buttons.form(names),
            live["requests"],
        ]
    )
    style, script = _source("page.css"), _source("page.js")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>Mocks</title><link rel="icon" href="data:,"><style>{style}</style>'
    )
    response = Response(
        f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main>'
        f"<script>{script}</script></body></html>"
    )
    response.content_type = "text/html; charset=utf-8"
    # No page of another site may embed this one, so that none can trick its user into clicking a button.
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


def live(
    vendors: Mapping[str, sections.VendorBatches],
    clock: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> Response:
    """Return the sections that change, as JSON: HTML by the id of the section. Arguments as those of `show`."""
    return responses.json_response(_parts(vendors, clock, faults, requests))


def show_rows(page: RowPage) -> Response:
    """Return the rows of a batch as HTML."""
    return Response(rows.fragment(page), content_type="text/html; charset=utf-8")


def _parts(
    vendors: Mapping[str, sections.VendorBatches],
    clock: Mapping[str, Any],
    faults: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Return the HTML of the sections that change, by their id."""
    return {
        "clock": sections.clock(clock),
        **{
            f"batches-{number}": sections.batches(name, batches)
            for number, (name, batches) in enumerate(vendors.items())
        },
        "faults": sections.faults(faults),
        "requests": sections.requests(requests),
    }


@functools.cache
def _source(name: str) -> str:
    """Return the text of a style or a script."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
