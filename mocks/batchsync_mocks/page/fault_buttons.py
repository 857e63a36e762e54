"""Buttons of the status page that arm faults: a choice of requests, and a button per fault."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from batchsync_mocks.page.html import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Requests that a fault may be armed for: label, method and path.
_REQUESTS = (
    ("any request", "", ""),
    ("uploads", "PUT", "^/_storage/"),
    ("downloads", "GET", "^/_storage/"),
    ("calls of the API", "", "^/(?!_storage/)"),
)
#: What a button arms, by kind: its label, what it does, and fields of the fault.
BUTTONS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "refuse": ("503", "Respond 503 without processing", {}),
    "status": ("500", "Respond 500 without processing", {"status": 500}),
    "throttle": ("429", "Respond 429 with Retry-After: 5", {"retry_after": 5}),
    "deny": ("Deny", "Respond as to wrong credentials", {}),
    "vanish": ("404", "Respond as to an unknown batch", {}),
    "expire": ("Expired URL", "Respond as to an expired URL", {}),
    "revoke": ("Revoke tokens", "Revoke the tokens issued so far, then process", {}),
    "delay": ("Delay", "Wait 5 seconds, then process", {"seconds": 5}),
    "reset": ("Reset", "Reset the connection before processing", {}),
    "break_upload": ("Break upload", "Reset the connection within the body of the request", {}),
    "rewind": ("Old state", "Respond with the state of a minute ago", {"seconds": 60}),
    "lose_answer": ("Lose answer", "Process, then close without a response", {}),
    "half_close": ("Half close", "Process, then close the sending side only", {}),
    "reset_answer": ("Reset answer", "Process, then reset the connection", {}),
    "cut": ("Cut answer", "Process, then send half of the response", {}),
    "cut_unframed": ("Cut, no length", "Process, then send half of the response without its length", {}),
    "drip": ("Drip", "Process, then send a header slowly for 5 seconds", {"seconds": 5}),
    "blank": ("Blank answer", "Process, then send no body", {}),
    "corrupt": ("Corrupt answer", "Process, then flip bytes of the response", {}),
    "replace_answer": ("Gateway page", "Process, then respond 502 as a gateway does", {"status": 502}),
}


def form(vendors: Sequence[str]) -> str:
    """Return the form that arms faults, for these vendors."""
    names = "".join(f'<option value="{text(name)}">{text(name)}</option>' for name in vendors)
    requests = "".join(
        f'<option data-method="{method}" data-path="{escape(path)}">{text(label)}</option>'
        for label, method, path in _REQUESTS
    )
    buttons = "".join(_button(kind, *parts) for kind, parts in BUTTONS.items())
    return (
        '<section id="arm"><h3>Arm a fault</h3><p>'
        f'<label>Vendor <select id="arm-vendor"><option value="">all</option>{names}</select></label> '
        f'<label>Requests <select id="arm-requests">{requests}</select></label> '
        '<label>Times <select id="arm-times"><option value="1">the next one</option>'
        '<option value="3">the next three</option><option value="0">all, until disarmed</option></select></label>'
        f'</p><p class="buttons">{buttons}</p></section>'
    )


def _button(kind: str, label: str, effect: str, fields: Mapping[str, Any]) -> str:
    """Return the button of a fault."""
    settings = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in fields.items())
    return f'<button type="button" data-kind="{kind}"{settings} title="{escape(effect)}">{text(label)}</button>'
