"""tools/check_site.py finds broken links, pages that the search lacks, and what a site loads from elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.check_site import check

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """<h1 id="top">A</h1><a href="#top">a</a> <a href="sub/">b</a> <a href="https://example.com/x">c</a>
<img src="picture.svg"> <a href="sub/#part">d</a>"""


def site(folder: Path, index: str) -> Path:
    """Write a site of two pages, a picture and a style sheet."""
    (folder / "sub").mkdir()
    (folder / "index.html").write_text(index, encoding="utf-8")
    (folder / "sub" / "index.html").write_text('<h2 id="part">B</h2><a href="../#top">a</a>', encoding="utf-8")
    (folder / "picture.svg").write_text("<svg/>", encoding="utf-8")
    (folder / "search").mkdir()
    index = {"docs": [{"location": ""}, {"location": "sub/#part"}]}
    (folder / "search" / "search_index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "style.css").write_text("a { background: url(picture.svg) }", encoding="utf-8")
    return folder


def test_good_site_has_no_problems(tmp_path: Path) -> None:
    assert check(site(tmp_path, GOOD)) == []


def test_problems_are_found(tmp_path: Path) -> None:
    page = """<h1 id="top">A</h1> <a href="#absent">a</a> <a href="sub/#absent">b</a> <a href="absent.html">c</a>
    <a href="http://example.com">d</a> <script src="https://cdn.example.com/x.js"></script>
    <link rel="stylesheet" href="//fonts.example.com/x.css">"""
    folder = site(tmp_path, page)
    (folder / "style.css").write_text('@import "https://fonts.example.com/y.css";', encoding="utf-8")
    assert check(folder) == [
        "index.html: loads https://cdn.example.com/x.js",
        "index.html: loads //fonts.example.com/x.css",
        "index.html: #absent leads nowhere",
        "index.html: sub/#absent leads nowhere",
        "index.html: absent.html leads nowhere",
        "index.html: http://example.com is no https address",
        "style.css: loads https://fonts.example.com/y.css",
    ]


def test_page_that_the_search_lacks_is_found(tmp_path: Path) -> None:
    folder = site(tmp_path, GOOD)
    (folder / "search" / "search_index.json").write_text('{"docs": [{"location": "#top"}]}', encoding="utf-8")
    assert check(folder) == ["sub/index.html: not found by the search"]


def test_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert check(tmp_path) == [f"{tmp_path}: no pages"]
