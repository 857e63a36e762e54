"""Run the command line in forks of a process that has imported everything.

Half of the run time of a short command is the start of Python. The process imports and runs nothing, so that a fork
begins where `python -m batchsync` is after its imports. Orders and answers are JSON, one per line.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds between looks at a fork with a time limit.
_LOOK_SECONDS = 0.002


class CommandForks:
    """The forking process."""

    def __init__(self) -> None:
        """Start the process; it is ready when it answers the first order."""
        path = os.pathsep.join(item for item in sys.path if item)
        self._folder = tempfile.TemporaryDirectory(prefix="batchsync-forks-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kit.command_forks"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run batchsync to its end.

        Args:
            arguments: Its arguments.
            cwd: Its working directory.
            environ: Its environment, whole.
            timeout: Seconds after which it is killed.

        Returns:
            Its exit code, minus the number of the signal that ended it, and what it printed.

        Raises:
            subprocess.TimeoutExpired: If it was killed.
        """
        out, err = (Path(self._folder.name) / name for name in ("stdout", "stderr"))
        order = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environ": dict(environ),
            "timeout": timeout,
            "outputs": [str(out), str(err)],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        printed = [path.read_text(encoding="utf-8") for path in (out, err)]
        if code is None:
            raise subprocess.TimeoutExpired(["batchsync", *arguments], timeout, *printed)
        return subprocess.CompletedProcess(["batchsync", *arguments], code, *printed)

    def close(self) -> None:
        """End the process, and wait for its end."""
        self._process.communicate(timeout=30)
        self._folder.cleanup()


@cache
def command_forks() -> CommandForks:
    """Return the forking process of this process, started at the first call."""
    return CommandForks()


def main() -> int:
    """Execute orders until the input ends."""
    from kit.zygote import preload  # noqa: PLC0415 - only the forking process imports all of batchsync

    preload()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_execute(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


def _execute(order: dict[str, Any]) -> int | None:
    """Run a fork to its end; return its exit code, or None if it was killed after its time."""
    ends = time.monotonic() + order["timeout"]
    child = os.fork()
    if child == 0:
        _run_command(order)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(_LOOK_SECONDS)


def _run_command(order: dict[str, Any]) -> None:
    """Run the command and end this process."""
    from batchsync.cli import main as command  # noqa: PLC0415 - see `main`

    code = 70
    try:
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environ"])
        added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [path for path in added if path and path not in sys.path]
        null = os.open(os.devnull, os.O_RDONLY)
        files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for path in order["outputs"]]
        for number, descriptor in enumerate((null, *files)):
            os.dup2(descriptor, number)
        sys.argv = ["batchsync", *order["arguments"]]
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - what Python does with an error that a program does not handle
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
