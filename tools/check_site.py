"""Check a built documentation site: links and anchors resolve, and nothing is loaded from elsewhere.

    python tools/check_site.py build/site

Links to other sites are checked for their form only, so that the check needs no network.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes that a browser loads, by element; other addresses are links, which a person follows.
_LOADED = {
    "audio": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "script": "src",
    "source": "src",
    "video": "src",
}
#: Addresses in style sheets.
_STYLE_URL = re.compile(r"url\(\s*['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class _Page(HTMLParser):
    """Anchors of a page, what it loads, and where it links to."""

    anchors: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Initialize the parser."""
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors and addresses of an element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if address := values.get(_LOADED.get(tag, "")):
            self.loaded.append(address)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def _is_external(address: str) -> bool:
    url = urlsplit(address)
    return url.scheme in {"http", "https"} or bool(url.netloc)


def check(site: Path) -> list[str]:
    """Return the problems of a site.

    Args:
        site: Existing folder of the built site.

    Returns:
        A line for each problem, with its page.
    """
    pages: dict[Path, _Page] = {}
    for file in sorted(site.rglob("*.html")):
        page = _Page()
        page.feed(file.read_text(encoding="utf-8"))
        pages[file.resolve()] = page
    problems = [] if pages else [f"{site}: no pages"]
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        problems += [f"{name}: loads {address}" for address in page.loaded if _is_external(address)]
        local = [address for address in (*page.loaded, *page.links) if not _is_external(address)]
        broken = [address for address in local if not _resolves(address, file, site, pages)]
        problems += [f"{name}: {address} leads nowhere" for address in broken]
        problems += [f"{name}: {address} is no https address" for address in page.links if _is_malformed(address)]
    problems += [f"{page}: not found by the search" for page in _unindexed(site, pages)]
    for sheet in site.rglob("*.css"):
        found = [first or second for first, second in _STYLE_URL.findall(sheet.read_text(encoding="utf-8"))]
        problems += [f"{sheet.relative_to(site)}: loads {address}" for address in found if _is_external(address)]
    return problems


def _unindexed(site: Path, pages: dict[Path, _Page]) -> list[str]:
    """Return the pages that the index of the search lacks; the page for unknown addresses is not searched."""
    index = site / "search" / "search_index.json"
    documents = json.loads(index.read_text(encoding="utf-8"))["docs"] if index.exists() else []
    indexed = {(site.resolve() / urlsplit(item["location"]).path / "index.html").resolve() for item in documents}
    return [str(page.relative_to(site.resolve())) for page in pages if page not in indexed and page.name != "404.html"]


def _resolves(address: str, file: Path, site: Path, pages: dict[Path, _Page]) -> bool:
    """Return whether a file of the site, and the anchor in it, exists."""
    url = urlsplit(address)
    if url.scheme in {"data", "mailto", "javascript"}:
        return url.scheme != "javascript"
    # The page for unknown addresses is shown at any depth, so that its addresses start at the top of the site.
    base = site.resolve() if url.path.startswith("/") else file.parent
    target = (base / unquote(url.path.lstrip("/"))).resolve() if url.path else file
    target = target / "index.html" if target.is_dir() else target
    page = pages.get(target)
    anchor = unquote(url.fragment)
    return target.exists() and (not anchor or page is None or anchor in page.anchors)


def _is_malformed(address: str) -> bool:
    """Return whether a link to another site is not https, has no host name, or has credentials."""
    url = urlsplit(address)
    is_good = url.scheme == "https" and "." in (url.hostname or "") and "@" not in url.netloc
    return _is_external(address) and not is_good


def main() -> None:
    """Check the site that the command line names; exit with 1 and its problems on stderr if it has any."""
    if problems := check(Path(sys.argv[1])):
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
