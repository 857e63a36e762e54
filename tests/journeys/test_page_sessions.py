"""The sessions of tutorials and how-to guides print what their pages show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit.page_sessions import DOCS, PageSession, blocks

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: Pages whose commands share one state of the mocks; the others start the mocks as `--mocks` does.
SHARED = ("approvals.md", "tutorials/jobs-in-git.md")
OWN = ("rejects.md", "scheduling.md", "tutorials/first-sync.md", "tutorials/testing-in-ci.md")
TESTS = Path(__file__).parents[1]
GIT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def environ() -> dict[str, str]:
    """Return the environment of a person who has set nothing of batchsync and its vendors."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }
    return kept | GIT


@pytest.mark.parametrize("page", SHARED)
def test_page_with_running_mocks_shows_what_is_printed(page: str, deployment: Deployment) -> None:
    folder = deployment.folder / "session"
    folder.mkdir()
    assert PageSession(folder, deployment.environ() | GIT).play(page) > 3


@pytest.mark.parametrize("page", OWN)
def test_page_shows_what_is_printed(page: str, tmp_path: Path) -> None:
    assert PageSession(tmp_path, environ()).play(page) > 1


def test_each_session_is_run_by_a_test() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    with_session = {page for page in pages if any(block["language"] == "console" for block in blocks(page))}
    assert with_session >= {*SHARED, *OWN}
    # The other sessions have tests of their own, which name their page.
    tests = "".join(file.read_text(encoding="utf-8") for file in TESTS.rglob("test_*.py"))
    assert [page for page in sorted(with_session - {*SHARED, *OWN}) if f'"{page}"' not in tests] == []


def test_other_output_than_the_page_shows_is_found(tmp_path: Path) -> None:
    session = PageSession(tmp_path, environ())
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo b\na\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="--- printed\nb"):
        session.play(str(page))
    page.write_text("```console\n$ false  # exit 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="exit 2"):
        session.play(str(page))
    page.write_text("```console\n$ seq 5\n1\n...\n5\n```\n", encoding="utf-8")
    assert session.play(str(page)) == 1
