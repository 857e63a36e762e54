"""Run the terminal sessions of a page of docs/ and compare what they print with what the page shows.

A page marks what its test needs with HTML comments before code blocks:

- `<!-- file: PATH -->`: the block is written to the file, in the folder of the session;
- `<!-- add: PATH -->`: the block is added at its end.

Blocks of the language `console` are the session, in the order of the page. A line `$ COMMAND` is run; ` # exit N` at
its end is the expected exit code, otherwise 0. `cd` and `export` last until the end of the page. The other lines are
what a person sees: stdout, then messages on stderr. A line `...` stands for any lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kit.command_forks import command_forks

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>file|add): (?P<path>[\w./-]+) -->\n\n?)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
#: A command of a session, with the lines below it.
STEP = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_EXIT = re.compile(r"\s+# exit (\d+)$")
#: What depends on the time, the machine and the version.
_VARYING = re.compile(
    r"""
    \d{4}-\d\d-\d\d[ ]\d\d:\d\d(?::\d\d)?(?:Z|[ ]UTC)?
    | \b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ ]
    | \bin[ ]\d+[ ](?:d|h|min|s)\b(?:[ ]\d+[ ](?:h|min|s)\b)?
    | \(in[ ][^)]*\) | \([\d.]+[ ](?:ms|s|min)\) | [ ]in[ ][\d.]+s\b | about[ ]\d+[ ](?:s|min)\b
    | \b[0-9a-f]{7,64}\b | -[0-9a-f]{12}\b
    | made[ ]by[ ]\S+[ ]on[ ]\S+ | batchsync[ ]\d[\w.]*,
    | (?<=[ ])/(?:[\w.-]+/)+
    | [ ]*[\u2588-\u258f]+  # bars, which fill the width of the terminal
    """,
    re.VERBOSE,
)
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+ [A-Z]+ .*\n", re.MULTILINE)
#: Commands that need a shell, because of their arguments or because they are not batchsync.
_SHELL = re.compile(r"[|<>;&`$*]|^(?!batchsync )")


def blocks(page: str) -> list[re.Match[str]]:
    """Return the code blocks of a page with their marks: groups `kind`, `path`, `language` and `text`."""
    return list(_BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")))


class PageSession:
    """The session of a page, in a folder of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Prepare the session.

        Args:
            folder: Existing folder in which it begins.
            environ: Its environment; `batchsync` is that of this interpreter, and the output that of a terminal.
        """
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._cwd = folder
        self._environ = dict(environ) | {"PATH": path, "NO_COLOR": "1", "CI": "", "GITHUB_ACTIONS": ""}

    def play(self, page: str) -> int:
        """Play the session of a page; return the number of commands.

        Args:
            page: Path of the page below docs/.

        Raises:
            AssertionError: If a command prints something else than the page shows, or ends with another exit code.
        """
        commands = 0
        for block in blocks(page):
            if block["kind"]:
                file = self._cwd / block["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a" if block["kind"] == "add" else "w", encoding="utf-8") as stream:
                    stream.write(block["text"])
            elif block["language"] == "console":
                for command, shown in STEP.findall(block["text"]):
                    self._step(command, shown)
                    commands += 1
        return commands

    def _step(self, line: str, shown: str) -> None:
        """Run a command line of the page, and compare what it prints."""
        expected = _EXIT.search(line)
        command = _EXIT.sub("", line)
        word, *words = shlex.split(command)
        if word == "cd":
            self._cwd = (self._cwd / words[0]).resolve(strict=True)
            return
        if word == "export":
            name, value = words[0].split("=", 1)
            self._environ[name] = value.replace("$PWD", str(self._cwd))
            return
        done = self._run(command, words)
        printed = done.stdout + _LOG_LINE.sub("", done.stderr)
        assert done.returncode == (int(expected[1]) if expected else 0), f"{line}\n{done.stdout}\n{done.stderr}"
        assert matches(shown, printed), f"{line}\n--- shown\n{shown}\n--- printed\n{printed}"

    def _run(self, command: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a fork of a started batchsync if it is one, else in a shell."""
        if not _SHELL.search(command):
            return command_forks().run(words, cwd=self._cwd, environ=self._environ, timeout=60)
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self._cwd,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed, but for what varies and for lines that `...` stands for."""
    parts = re.split(r"^\.\.\.\n", _VARYING.sub("?", shown), flags=re.MULTILINE)
    pattern = r"(?:.*\n)*".join(re.escape(part) for part in parts)
    return re.fullmatch(pattern, _VARYING.sub("?", printed)) is not None
