"""Record the terminal session of README: `docs/demo/session.cast` (asciinema, version 2) and `docs/demo/session.txt`.

The commands run in a pseudo-terminal, in a copy of the sample jobs, against the bundled mocks. The cast holds what they
wrote, with the times at which they wrote it; the text is what remains on the screen in the end.

    python tools/record_demo.py     # needs batchsync in the environment of this interpreter
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "demo"
COLUMNS, LINES = 140, 40
COMMANDS = (
    "batchsync sync --mocks",
    "batchsync rejects --mocks guests --groups",
    "batchsync rejects --mocks orders --kind rejected",
    "batchsync sync --mocks guests",
)
#: Seconds between typed characters, and before the next prompt.
_TYPING, _READING = 0.04, 1.5
#: Control sequences of a terminal: parameters and final character.
_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")

Event = tuple[float, str, str]


def copy_jobs(folder: Path) -> None:
    """Copy the sample jobs and their sources into a folder."""
    shutil.copy(ROOT / "jobs.yaml", folder)
    shutil.copytree(ROOT / "examples", folder / "examples")


def environ() -> dict[str, str]:
    """Return an environment without settings of batchsync and its vendors, as of a person at a terminal."""
    left_out = ("BATCHSYNC", "MOTORWEB", "SITECORE", "CI", "GITHUB", "NO_COLOR")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "TERM": "xterm-256color"}


def record(folder: Path) -> Iterator[Event]:
    """Run the commands in a folder with the sample jobs; yield what appears on the terminal, as events of a cast."""
    begin = time.monotonic()
    paused = 0.0
    for command in COMMANDS:
        for character in f"$ {command}\r\n":
            paused += _TYPING
            yield (round(time.monotonic() - begin + paused, 3), "o", character)
        for written in _output(command, folder):
            yield (round(time.monotonic() - begin + paused, 3), "o", written)
        paused += _READING


def _output(command: str, folder: Path) -> Iterator[str]:
    """Run a command in a pseudo-terminal; yield what it writes, in the pieces in which it writes it."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command.split(), cwd=folder, env=environ(), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    pending = b""
    while True:
        try:
            read = os.read(leader, 65536)
        except OSError:  # on Linux: the command has closed the terminal
            read = b""
        if not read:
            break
        pending += read
        try:
            text, pending = pending.decode(), b""
        except UnicodeDecodeError:  # a character of which only a part was read
            continue
        yield text
    os.close(leader)
    if process.wait() != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")


def screen(text: str) -> str:
    """Return the lines that a terminal shows after it received a text, scrolled-out ones included.

    Handles what the progress display of batchsync writes: carriage returns, moving up, and erasing lines.
    """
    lines, row, column = [""], 0, 0
    position = 0
    while position < len(text):
        if sequence := _SEQUENCE.match(text, position):
            if sequence[2] == "A":
                row = max(0, row - int(sequence[1] or 1))
            elif sequence[2] == "K":
                # "2K" erases the whole line, "K" what follows the cursor.
                lines[row] = "" if sequence[1] == "2" else lines[row][:column]
            position = sequence.end()
            continue
        character = text[position]
        position += 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def played(cast: str) -> str:
    """Return what a terminal shows after a cast was played."""
    return screen("".join(json.loads(line)[2] for line in cast.splitlines()[1:]))


def main() -> None:
    """Record the session, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        copy_jobs(Path(folder))
        events = list(record(Path(folder)))
    header = {"version": 2, "width": COLUMNS, "height": LINES, "title": "batchsync: the sample jobs against the mocks"}
    cast = "\n".join(json.dumps(item, ensure_ascii=False) for item in (header, *events)) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "session.cast").write_text(cast, encoding="utf-8")
    (FOLDER / "session.txt").write_text(played(cast), encoding="utf-8")


if __name__ == "__main__":
    main()
