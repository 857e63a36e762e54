"""Names, docstrings, comments, messages and pages contain no banned word; see tools/banned_words.txt."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDERS = ("engine/batchsync", "specs/batchsync_specs", "mocks/batchsync_mocks", "tests", "tools", "benchmarks")
ENDINGS = {".py", ".md", ".yaml", ".toml", ".sh", ".txt"}
LIST = ROOT / "tools" / "banned_words.txt"


def section(name: str) -> list[str]:
    """Return the entries of a section of the list."""
    text = LIST.read_text(encoding="utf-8").split(f"[{name}]\n")[1].split("\n[")[0]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


NAMES = frozenset(section("names"))
TEXTS = re.compile(r"(?<![A-Za-z_])(?:" + "|".join(section("texts")) + r")(?![A-Za-z_])", re.IGNORECASE)


def is_checked(path: Path) -> bool:
    return path.suffix in ENDINGS and path not in {LIST, Path(__file__)}


FILES = sorted(
    path
    for found in (
        *((ROOT / folder).rglob("*") for folder in FOLDERS),
        (ROOT / "docs").rglob("*.md"),
        (ROOT / "examples").rglob("*.*"),
        ROOT.glob("*.*"),
    )
    for path in found
    if is_checked(path)
)


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line number and name of every identifier of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name


def banned_names(source: str) -> list[str]:
    return [
        f"{line}: {name}"
        for line, name in identifiers(ast.parse(source))
        if NAMES & {name.lower(), *name.lower().split("_")}
    ]


def banned_texts(text: str) -> list[str]:
    return [
        f"{number}: {found[0]}" for number, line in enumerate(text.splitlines(), 1) for found in TEXTS.finditer(line)
    ]


def test_banned_words_are_found() -> None:
    assert banned_names("def was_told(said): return said.nobody") == ["1: was_told", "1: said", "1: nobody", "1: said"]
    assert banned_texts("a = 1\n# Nobody is told.") == ["2: Nobody", "2: told"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_no_banned_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    names = banned_names(text) if path.suffix == ".py" else []
    assert names + banned_texts(text) == []
