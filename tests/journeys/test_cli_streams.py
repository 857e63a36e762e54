"""Commands finish their work although stdout or stderr is closed, full or lost its reader."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from batchsync.cli.streams import BrokenPipeSafeStream

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment


def bash(folder: Path, line: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a bash command line in the folder; `$L` is batchsync."""
    environ = environ | {"L": f"{sys.executable} -m batchsync"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("redirect", ["2> >(head -1 >&2)", "2>/dev/full", "2>&-", ">&- 2>&-", "2> >(true)"])
def test_sync_continues_with_closed_stderr_reader(deployment: Deployment, redirect: str) -> None:
    completed = bash(deployment.folder, f"$L sync -v {redirect}", deployment.environ())

    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "Traceback" not in completed.stderr
    if ">&- 2" not in redirect:
        assert "total: 2 runs: selected 50 = unchanged 0 + accepted 48 + invalid 1 + rejected 1" in completed.stdout
    assert "open batch" not in deployment.run("status")
    assert "ok       journal" in deployment.run("doctor")


@pytest.mark.parametrize("line", ["$L history >&-", "$L history 2>&-", "$L history -o json >&- 2>&-", "$L doctor >&-"])
def test_closed_stream_is_not_an_error(deployment: Deployment, line: str) -> None:
    # With NO_COLOR set, batchsync would not check whether the stream is a terminal.
    completed = bash(deployment.folder, f"unset NO_COLOR; export TERM=xterm; {line}", deployment.environ())

    assert (completed.returncode, completed.stderr) == (0, "")


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", "2> >(true)"])
@pytest.mark.parametrize("command", ["snyc", "mocks", "sync"])
def test_error_with_closed_stderr_keeps_exit_code(tmp_path: Path, command: str, redirect: str) -> None:
    completed = bash(tmp_path, f"$L {command} {redirect}", dict(os.environ))

    assert (completed.returncode, completed.stdout, completed.stderr) == (2, "", "")


def test_closed_stream_descriptor_is_not_reused(tmp_path: Path) -> None:
    code = (
        "import os, sys; from batchsync.cli.streams import repair_std_streams; repair_std_streams();"
        "print(os.open(os.devnull, os.O_RDONLY), file=open('descriptor', 'w'))"
    )
    subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], cwd=tmp_path, check=True)

    assert int((tmp_path / "descriptor").read_text(encoding="utf-8")) > 2


def test_closed_terminal_does_not_stop_live_progress() -> None:
    parent, child = pty.openpty()
    terminal = io.TextIOWrapper(os.fdopen(child, "wb", buffering=0), encoding="utf-8", write_through=True)
    with terminal:
        stream = BrokenPipeSafeStream(terminal)
        assert (stream.isatty(), stream.encoding, stream.fileno()) == (True, "utf-8", child)
        stream.write("one line")
        os.close(parent)

        for _ in range(2):
            assert stream.write("another") == len("another")
            stream.flush()
