"""The documentation site in Chromium: the search finds pages, and nothing is loaded from elsewhere."""

from __future__ import annotations

import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kit import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOREIGN = "performance.getEntriesByType('resource').map(r => r.name).filter(name => !name.startsWith(location.origin))"

#: The page searches when a key is released, once its script has loaded the index.
RELEASE_KEY = (
    "document.querySelector('.md-search__input').dispatchEvent(new KeyboardEvent('keyup', {key: 's', bubbles: true}))"
)


class _Handler(SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, *_arguments: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The URL of the built site."""
    subprocess.run(["make", "site"], cwd=ROOT, check=True, timeout=600)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(ROOT / "build" / "site"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_search_finds_a_page_without_requests_to_elsewhere(site: str) -> None:
    with chromium.opened() as page:
        page.open(site)
        page.click(".md-search__input")
        page.evaluate("document.querySelector('[data-md-toggle=search]').checked = true")
        page.write(".md-search__input", "rejected rows")
        page.wait_for(f"({RELEASE_KEY}, document.querySelector('.md-search-result__item') !== null)")
        assert "Find and correct rejected rows" in page.text(".md-search-result__list")
        page.open(f"{site}outcomes/")
        assert page.evaluate(FOREIGN) == []
        assert page.problems == []
