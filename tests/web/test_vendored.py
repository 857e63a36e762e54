"""Files of the page that others wrote: their content is that of their release, and their licence is with them."""

from __future__ import annotations

import hashlib

from batchsync.web.render import STATIC

#: dist/htmx.min.js of the npm package htmx.org 2.0.11.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"


def test_htmx_is_as_released() -> None:
    content = (STATIC / "htmx.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == HTMX
    assert b'"2.0.11"' in content
    assert (STATIC / "htmx.LICENSE").read_text(encoding="utf-8").startswith("Zero-Clause BSD")


def test_own_script_is_short() -> None:
    assert len((STATIC / "page.js").read_text(encoding="utf-8").splitlines()) < 100
