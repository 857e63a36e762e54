"""`python -m kit.zygote`: runs the real command line in forks of a process that has imported everything.

Half of the run time of a short `batchsync sync` is the start of Python. Forks begin after it, so that kills are cheap
and hit batchsync itself. Orders and answers are JSON, one per line. The parent imports and runs nothing, so that forks
are safe.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import batchsync
from batchsync.cli.root import main as command

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kit.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkResult:
    """Exit code of a fork, or minus its signal, with its wall and processor seconds."""

    code: int
    seconds: float
    processor: float

    @property
    def killed(self) -> bool:
        """Whether the fork was killed before it ended."""
        return self.code == -signal.SIGKILL


class Zygote:
    """The forking process, in the folder and with the environment of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        """Start the process; it is ready when it answers the first order."""
        self.log = deployment.folder / "forks.log"
        path = os.pathsep.join(item for item in sys.path if item)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kit.zygote"],
            cwd=deployment.folder,
            env=deployment.environ() | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, kill_after: float | None = None) -> ForkResult:
        """Run a command in a fork, and kill it after so many seconds unless it ended before."""
        return self._send({"arguments": arguments, "after": kill_after, "log": str(self.log)})

    def json(self, *arguments: str) -> Any:
        """Run a command with JSON output and return the result part of its envelope."""
        answer = self.log.with_name("forks.json")
        answer.unlink(missing_ok=True)
        result = self._send({"arguments": ["-o", "json", *arguments], "after": None, "log": str(answer)})
        assert result.code == 0, answer.read_text("utf-8")
        return json.loads(answer.read_text("utf-8"))["result"]

    def _send(self, order: dict[str, Any]) -> ForkResult:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return ForkResult(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        """Return this process."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close its input and wait for its end."""
        self._process.communicate(timeout=30)


def preload() -> None:
    """Import all modules of batchsync and libraries that are imported lazily."""
    for package in pkgutil.walk_packages(batchsync.__path__, "batchsync."):
        if not package.name.endswith("__main__"):
            importlib.import_module(package.name)
    for name in ("polars", "polars_hash", "requests", "ruamel.yaml", "encodings.idna"):
        importlib.import_module(name)


def main() -> int:
    """Execute orders until the input ends."""
    preload()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_execute(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


def _execute(order: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        _run_command(order)
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            break
        if order["after"] is not None and time.perf_counter() - start >= order["after"]:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(0.0005)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - start,
        "processor": used.ru_utime + used.ru_stime,
    }


def _run_command(order: dict[str, Any]) -> None:
    """Run the command and end this process."""
    code = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, descriptor in ((0, null), (1, log), (2, log)):
            os.dup2(descriptor, number)
        command(order["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
