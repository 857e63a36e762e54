"""Mistakes of newcomers in jobs.yaml and at the command line, each with the whole message (mistakes.txt)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from batchsync.util.error_codes import error_codes
from kit.command_forks import command_forks
from kit.deployment import JOBS, write_sources

TABLE = Path(__file__).parent / "mistakes.txt"
_EDIT = re.compile(r"<<<\n(.*?)\n>>>\n(.*?)\n(?=<<<\n|\$ )", re.DOTALL)
_CODE = re.compile(r"\[(BS-[A-Z][0-9]{3})\]")


class Mistake(NamedTuple):
    """An edit of jobs.yaml, a command, its exit code, and what it prints on stderr."""

    edits: list[tuple[str, str]]
    command: list[str]
    exit_code: int
    message: str


def mistakes() -> dict[str, Mistake]:
    """Return the table by name."""
    found = {}
    for block in ("\n" + TABLE.read_text(encoding="utf-8")).split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        start = rest.index("$ batchsync ")
        command, code, message = rest[start:].split("\n", 2)
        edits = _EDIT.findall(rest[: start + 2])
        found[name] = Mistake(edits, command.split()[2:], int(code.split()[-1]), message.rstrip("\n"))
    return found


MISTAKES = mistakes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("newcomer")
    write_sources(path)
    return path


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_explained(name: str, folder: Path) -> None:
    mistake = MISTAKES[name]
    text = JOBS
    for old, new in mistake.edits:
        before, sign, after = text.rpartition(old)
        assert sign, old
        text = before + new + after
    (folder / "jobs.yaml").write_text(text, encoding="utf-8")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("BATCHSYNC_")} | {"NO_COLOR": "1"}
    done = command_forks().run(mistake.command, cwd=folder, environ=environ, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.rstrip("\n")) == (mistake.exit_code, "", mistake.message)


@pytest.mark.parametrize("name", MISTAKES)
def test_message_has_a_code_a_place_and_a_next_step(name: str) -> None:
    mistake = MISTAKES[name]
    assert mistake.exit_code == 2
    codes = _CODE.findall(mistake.message)
    assert codes
    assert set(codes) <= set(error_codes())
    assert "\nnext: " in mistake.message
    if mistake.edits:
        assert re.search(r"^jobs\.yaml:[0-9]+:[0-9]+: ", mistake.message)
        assert "^" in mistake.message
        assert (
            "expected" in mistake.message
            or "Write" in mistake.message
            or "source has" in mistake.message
            or ("id you mean" in mistake.message.casefold())
        )


def test_there_are_forty() -> None:
    assert len(MISTAKES) >= 40
    assert sum(bool(mistake.edits) for mistake in MISTAKES.values()) >= 30
