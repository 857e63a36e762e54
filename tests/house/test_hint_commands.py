"""Whatever command lading tells a person to type exists, with its arguments and options."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from lading.cli import main

ENGINE = Path(__file__).parents[2] / "engine" / "lading"
#: What stands for a value in a hint that is put together.
FILLED = "guests"
COMMAND = re.compile(r"`lading ([^`>]+?)(?: > FILE)?`")

#: A hint that is a command and nothing else stands without them.
BARE = re.compile(r"^lading (.+)$")


def text_of(node: ast.AST) -> str | None:
    """Return the text of a string literal, with its placeholders filled; None of anything else."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or FILLED for part in parts)
        case _:
            return None


def hints() -> list[tuple[str, str]]:
    """Return every command in backticks, and every hint that is a command, with where it stands."""
    found: list[tuple[str, str]] = []
    for file in sorted(ENGINE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and id(node) not in inner and (text := text_of(node)):
                place = f"{file.relative_to(ENGINE)}:{node.lineno}"
                found += [(place, said) for said in COMMAND.findall(text)]
            elif isinstance(node, ast.keyword) and node.arg == "hint":
                place, text = f"{file.relative_to(ENGINE)}:{node.lineno}", text_of(node.value) or ""
                found += [(place, said) for said in BARE.findall(text)]
    return found


def parsed(words: list[str]) -> None:
    """Let click parse a command line without running it."""
    context, command = click.Context(main), main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    try:
        command.make_context(command.name, words, parent=context)
    except click.exceptions.NoArgsIsHelpError:
        pass  # the bare name of a group
    except click.MissingParameter:
        # The bare name of a command speaks of it, and is nothing to be typed.
        if words:
            raise


HINTS = hints()


def test_hints_are_found() -> None:
    assert len(HINTS) > 60
    assert any(said == f"status {FILLED}" for _, said in HINTS)


@pytest.mark.parametrize("said", sorted({said for _, said in HINTS}))
def test_every_command_that_a_hint_names_can_be_typed(said: str) -> None:
    places = [place for place, one in HINTS if one == said]

    try:
        parsed(shlex.split(said))
    except click.exceptions.Exit:
        pass  # --help answers and ends
    except click.ClickException as error:
        pytest.fail(f"`lading {said}` in {', '.join(places)}: {error.format_message()}")
