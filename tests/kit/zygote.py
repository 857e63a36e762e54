"""`python -m kit.zygote`: runs the real command line in forks of a process that has everything imported already.

Half of the life of a short `batchsync sync` is the starting of Python. A fork begins where that is over, so that a kill
costs a fraction, and strikes something. It reads one JSON order a line, and answers each with one line. The parent
imports and runs nothing, so that a fork is safe.
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
class Ended:
    """How a fork ended: its exit code or minus its signal, and its seconds of the wall and of the processor."""

    code: int
    seconds: float
    processor: float

    @property
    def killed(self) -> bool:
        """Whether it was still alive when it was killed."""
        return self.code == -signal.SIGKILL


class Zygote:
    """The process that forks, in the folder and with the environment of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        """Start it; it is ready when the first order is answered."""
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

    def run(self, *arguments: str, kill_after: float | None = None) -> Ended:
        """Run a command in a fork, and kill it after some seconds if it lives that long."""
        return self._ordered({"arguments": arguments, "after": kill_after, "log": str(self.log)})

    def json(self, *arguments: str) -> Any:
        """Run a command with JSON output and return the result part of its envelope."""
        answer = self.log.with_name("forks.json")
        answer.unlink(missing_ok=True)
        ended = self._ordered({"arguments": ["-o", "json", *arguments], "after": None, "log": str(answer)})
        assert ended.code == 0, answer.read_text("utf-8")
        return json.loads(answer.read_text("utf-8"))["result"]

    def _ordered(self, order: dict[str, Any]) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let it end."""
        self._process.communicate(timeout=30)


def preloaded() -> None:
    """Import everything that any command imports, and what it imports only when it is needed."""
    for package in pkgutil.walk_packages(batchsync.__path__, "batchsync."):
        if not package.name.endswith("__main__"):
            importlib.import_module(package.name)
    for name in ("polars", "polars_hash", "requests", "ruamel.yaml", "encodings.idna"):
        importlib.import_module(name)


def main() -> int:
    """Obey until there are no more orders."""
    preloaded()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_obeyed(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


def _obeyed(order: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        _live(order)
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            break
        if order["after"] is not None and time.perf_counter() - begun >= order["after"]:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(0.0005)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - begun,
        "processor": used.ru_utime + used.ru_stime,
    }


def _live(order: dict[str, Any]) -> None:
    """Be the command, and never return."""
    code = 70
    try:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, descriptor in ((0, nowhere), (1, log), (2, log)):
            os.dup2(descriptor, number)
        command(order["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
