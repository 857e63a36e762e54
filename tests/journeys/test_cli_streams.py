"""Whoever reads stdout or stderr may go away, or may never have been there: the work is done all the same."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lading.cli.channels import Forgiving

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment


def bash(folder: Path, line: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in the folder; $L is lading."""
    environ = environ | {"L": f"{sys.executable} -m lading"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("away", ["2> >(head -1 >&2)", "2>/dev/full", "2>&-", ">&- 2>&-", "2> >(true)"])
def test_a_sync_goes_on_when_nobody_reads_its_messages(deployment: Deployment, away: str) -> None:
    done = bash(deployment.folder, f"$L sync -v {away}", deployment.environ())

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if ">&- 2" not in away:
        assert "total: 2 runs: selected 50 = unchanged 0 + accepted 48 + invalid 1 + rejected 1" in done.stdout
    assert "open batch" not in deployment.run("status")
    assert "ok       journal" in deployment.run("doctor")


@pytest.mark.parametrize("line", ["$L history >&-", "$L history 2>&-", "$L history -o json >&- 2>&-", "$L doctor >&-"])
def test_a_channel_that_was_closed_is_no_error(deployment: Deployment, line: str) -> None:
    # Whoever wants no colour is not asked whether a terminal is there.
    done = bash(deployment.folder, f"unset NO_COLOR; export TERM=xterm; {line}", deployment.environ())

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("away", ["2>/dev/full", "2>&-", "2> >(true)"])
@pytest.mark.parametrize("words", ["snyc", "mocks", "sync"])
def test_an_error_that_nobody_reads_keeps_its_code(tmp_path: Path, words: str, away: str) -> None:
    done = bash(tmp_path, f"$L {words} {away}", dict(os.environ))

    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_no_file_takes_the_place_of_a_channel_that_was_closed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from lading.cli.channels import ready; ready();"
        "print(os.open(os.devnull, os.O_RDONLY), file=open('said', 'w'))"
    )
    subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], cwd=tmp_path, check=True)

    assert int((tmp_path / "said").read_text(encoding="utf-8")) > 2


def test_a_terminal_that_goes_away_ends_no_drawing() -> None:
    ours, theirs = pty.openpty()
    terminal = io.TextIOWrapper(os.fdopen(theirs, "wb", buffering=0), encoding="utf-8", write_through=True)
    with terminal:
        channel = Forgiving(terminal)
        assert (channel.isatty(), channel.encoding, channel.fileno()) == (True, "utf-8", theirs)
        channel.write("one line")
        os.close(ours)

        for _ in range(2):
            assert channel.write("another") == len("another")
            channel.flush()
