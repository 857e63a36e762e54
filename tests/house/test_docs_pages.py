"""Pages of docs/: each is in one section of the site, links lead somewhere, and shown commands exist.

`make site` checks the built site; these tests need none of its packages.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import pytest
from ruamel.yaml import YAML
from tools.record_demo import played, screen

from batchsync.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n]*\n(.*?)^\1\2`*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
CODE_SPAN = re.compile(r"`[^`\n]+`")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
#: A command in a block of a page: after a prompt, at the begin of a line, or after the mark of a step of a workflow.
COMMAND = re.compile(r"^(?:\$ |\s*- run: |)batchsync (?=[a-z-])(.+)$", re.MULTILINE)


def sections() -> list[tuple[str, str]]:
    """Return the sections of the site with their pages, one pair for each place of a page."""

    def walk(section: str, item: Any) -> Iterator[tuple[str, str]]:
        if isinstance(item, str):
            yield section, item
        for title, part in item.items() if isinstance(item, dict) else ():
            for inner in part if isinstance(part, list) else [part]:
                yield from walk(section or str(title), inner)

    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace("!!python/object/apply:", "!")
    return [pair for item in YAML(typ="rt").load(text)["nav"] for pair in walk("", item)]


def prose(page: Path) -> str:
    """Return the text of a page without code."""
    return CODE_SPAN.sub("`code`", FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    found: Counter[str] = Counter()
    names = set()
    for title in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("\\_", "_")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names.add(slug if not found[slug] else f"{slug}-{found[slug]}")
        found[slug] += 1
    return names


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere; of links to other sites only the form is checked."""
    broken = []
    for match in LINK.finditer(prose(page)):
        target = match[1] or match[2]
        url = urlsplit(target)
        if url.scheme or url.netloc:
            good = url.scheme == "https" and "." in (url.hostname or "") and "@" not in url.netloc
        else:
            file = (page.parent / url.path).resolve() if url.path else page
            # The site has no page for a folder, and nothing outside of docs/.
            reached = file.exists() if page.parent == ROOT else file.is_file() and file.is_relative_to(DOCS)
            good = reached and (not url.fragment or url.fragment in anchors(file))
        broken += [] if good else [target]
    return broken


def commands(page: Path) -> list[str]:
    """Return the commands of batchsync in the code blocks of a page, without the first word."""
    blocks = [text for _, _, language, text in FENCE.findall(page.read_text("utf-8")) if language != "text"]
    found = [command for text in blocks for command in COMMAND.findall(text)]
    return [command for command in found if not command.endswith("\\")]


def arguments(command: str) -> list[str]:
    """Return the arguments of a command in a shell, without redirections, comments and further commands."""
    lexer = shlex.shlex(command.partition(" 2>")[0], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return [*itertools.takewhile(lambda word: not set(word) <= set("();<>|&"), lexer)]


def parse(words: list[str]) -> None:
    """Parse a command line with click, without running it."""
    command: click.Command = main
    context = click.Context(main)
    _, words, _ = main.make_parser(context).parse_args(args=words)
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    command.make_context(command.name, words, parent=context)


def test_each_page_is_in_one_section() -> None:
    counts = Counter(page for _, page in sections())
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert {page for page, count in counts.items() if count > 1} == set()
    assert set(counts) == pages, "each page of docs/ needs a place in `nav:` of mkdocs.yml"


def test_there_are_sections_for_each_kind_of_page() -> None:
    assert [*dict.fromkeys(section for section, _ in sections())] == [
        "Home",
        "Tutorials",
        "How-to guides",
        "Reference",
        "Explanation",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n[b](#b) [c](http://x.example) [d](https://x) `[e](#e)` [f](f.md)\n", encoding="utf-8")
    assert broken_links(page) == ["#b", "http://x.example", "https://x", "f.md"]
    assert anchors(DOCS / "index.md") >= {"where-to-begin", "the-bundled-vendors"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shown_commands_can_be_parsed(page: Path) -> None:
    for command in commands(page):
        try:
            parse(arguments(command))
        except click.exceptions.Exit:
            pass  # --help and --version print and exit
        except (click.ClickException, ValueError) as error:
            if type(error) is click.BadParameter and "does not exist" in error.message:
                continue  # a file that a reader of the page has
            pytest.fail(f"`batchsync {command}`: {error}")


def test_shown_commands_are_found() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 80
    with pytest.raises(click.UsageError):
        parse(["sync", "--unknown"])


def test_cast_plays_the_session_of_readme() -> None:
    session = (DOCS / "demo" / "session.txt").read_text(encoding="utf-8")
    assert played((DOCS / "demo" / "session.cast").read_text(encoding="utf-8")) == session
    assert session in (ROOT / "README.md").read_text(encoding="utf-8")


def test_screen_shows_what_a_progress_display_leaves() -> None:
    assert screen("a\r\nbc\x1b[1mX\x1b[0m\r\x1b[2K\x1b[1A\x1b[2Kd\r\ne\r\n") == "d\ne\n"
