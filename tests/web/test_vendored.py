"""Files of the page and of the site that others wrote: they are as released, and their licence is with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from batchsync.web.render import STATIC

#: Player of the recorded session on the documentation site: dist/bundle of the npm package asciinema-player 3.18.0.
PLAYER = Path(__file__).parents[2] / "docs" / "demo" / "player"
PLAYER_FILES = {
    "asciinema-player.min.js": "752c9b528b664f5b16f27c68ba22fc7973d1d6063a1c3e4795a4c8015943acf6",
    "asciinema-player.css": "981fe7bc6042048b2a373b6da297f747e324e90a8b6264e833e3a92cec22dfb9",
}
#: dist/htmx.min.js of the npm package htmx.org 2.0.11.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"


def test_htmx_is_as_released() -> None:
    content = (STATIC / "htmx.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == HTMX
    assert b'"2.0.11"' in content
    assert (STATIC / "htmx.LICENSE").read_text(encoding="utf-8").startswith("Zero-Clause BSD")


def test_player_is_as_released() -> None:
    found = {name: hashlib.sha256((PLAYER / name).read_bytes()).hexdigest() for name in PLAYER_FILES}
    assert found == PLAYER_FILES
    assert "Apache License" in (PLAYER / "asciinema-player.LICENSE").read_text(encoding="utf-8")


def test_own_scripts_are_short() -> None:
    for script in (STATIC / "page.js", PLAYER / "play.js"):
        assert len(script.read_text(encoding="utf-8").splitlines()) < 100
