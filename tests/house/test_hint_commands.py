"""Every command that a message suggests exists, with its arguments and options."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from batchsync.cli import main

ENGINE = Path(__file__).parents[2] / "engine" / "batchsync"
#: Placeholder for values in hints that are f-strings.
FILLED = "guests"
COMMAND = re.compile(r"`batchsync ([^`>]+?)(?: > FILE)?`")

#: A hint that consists of a command alone has no backticks.
BARE = re.compile(r"^batchsync (.+)$")


def text_of(node: ast.AST) -> str | None:
    """Return the text of a string literal with placeholders filled; None for other nodes."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or FILLED for part in parts)
        case _:
            return None


def hints() -> list[tuple[str, str]]:
    """Return location and text of every command in backticks and of every hint that is a command."""
    found: list[tuple[str, str]] = []
    for file in sorted(ENGINE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and id(node) not in inner and (text := text_of(node)):
                place = f"{file.relative_to(ENGINE)}:{node.lineno}"
                found += [(place, suggestion) for suggestion in COMMAND.findall(text)]
            elif isinstance(node, ast.keyword) and node.arg == "hint":
                place, text = f"{file.relative_to(ENGINE)}:{node.lineno}", text_of(node.value) or ""
                found += [(place, suggestion) for suggestion in BARE.findall(text)]
    return found


def parse(words: list[str]) -> None:
    """Parse a command line with click without running it."""
    context, command = click.Context(main), main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    try:
        command.make_context(command.name, words, parent=context)
    except click.exceptions.NoArgsIsHelpError:
        pass  # the name of a group
    except click.MissingParameter:
        # The bare name of a command refers to it; it is not a command line.
        if words:
            raise


HINTS = hints()


def test_hints_are_found() -> None:
    assert len(HINTS) > 60
    assert any(suggestion == f"status {FILLED}" for _, suggestion in HINTS)


@pytest.mark.parametrize("suggestion", sorted({suggestion for _, suggestion in HINTS}))
def test_suggested_command_can_be_parsed(suggestion: str) -> None:
    places = [place for place, item in HINTS if item == suggestion]

    try:
        parse(shlex.split(suggestion))
    except click.exceptions.Exit:
        pass  # --help prints and exits
    except click.ClickException as error:
        pytest.fail(f"`batchsync {suggestion}` in {', '.join(places)}: {error.format_message()}")
