"""No name in the shipped packages is a banned word."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine/batchsync", "specs/batchsync_specs", "mocks/batchsync_mocks")
WORDS = frozenset(
    line for line in (ROOT / "tools" / "banned_words.txt").read_text().splitlines() if line and not line.startswith("#")
)
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that is named or used in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name


def banned(source: str) -> list[str]:
    return [
        f"{line}: {name}"
        for line, name in identifiers(ast.parse(source))
        if WORDS & {name.lower(), *name.lower().split("_")}
    ]


def test_the_list_has_words() -> None:
    assert {"told", "said", "nobody"} <= WORDS
    assert banned("def was_told(said): return said.nobody") == ["1: was_told", "1: said", "1: nobody", "1: said"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_not_banned(path: Path) -> None:
    assert banned(path.read_text(encoding="utf-8")) == []
