"""`python -m kit.syscall_kills`: strace kills the real command at the n-th system call that changes a file or a socket.

A first sync is only watched, to learn how many such calls its main thread makes. Then, for n by n: change the sources,
start a sync that dies as it enters its n-th call, let the next process finish, and look at the vendors' books.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import batchsync_mocks
from kit.changing import finish, write, wrong
from kit.deployment import JOBS, Deployment
from kit.zygote import Zygote
from simulation.many import in_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What makes, changes, names, removes or settles a file, and what sends.
CALLS = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,"
    "unlinkat,rmdir,mkdir,mkdirat,sendto,sendmsg"
)


def can_trace() -> bool:
    """Say whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def main() -> int:
    """Kill and look; print how many calls there are, how many died, and what was wrong."""
    parser = argparse.ArgumentParser(prog="kit.syscall_kills")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    given = parser.parse_args()
    if not can_trace():
        sys.stdout.write("strace is not here, or may not trace: nothing was done\n")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="batchsync-syscalls-", dir=in_memory()))
    try:
        (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
        with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
            deployment = Deployment(folder, mocks)
            with Zygote(deployment) as zygote:
                calls, kills, bad = _all(deployment, zygote, given.first, given.stride)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = f"{used.ru_utime + used.ru_stime:.0f} s of processor"
    sys.stdout.write("\n".join([f"{calls} calls, {kills} died, {len(bad)} violations; {took}", *bad, ""]))
    return bool(bad)


def _all(deployment: Deployment, zygote: Zygote, first: int, stride: int) -> tuple[int, int, list[str]]:
    """Return how many calls a sync makes, how many processes died at one, and what was wrong."""
    # The third sync has as much to do as all that follow.
    write(deployment.folder, 0)
    deployment.run("sync")
    write(deployment.folder, 1)
    deployment.run("sync")
    write(deployment.folder, 60 * 60 * 8 + 1)
    calls = _watched(deployment)
    kills, bad = 0, []
    moments = [(name, at) for name, count in sorted(calls.items()) for at in range(1, count + 1)]
    for round_, (name, at) in enumerate(moments[first - 1 :: stride], start=1):
        # In steps of 60 the sources keep their size and have as many changes each time, so that the calls are the same.
        number = 60 * round_ + 1
        write(deployment.folder, number)
        # strace counts each kind of call by itself.
        kills += _traced(deployment, ["-e", f"inject={name}:signal=KILL:when={at}"]) == -signal.SIGKILL
        finish(zygote)
        bad += [f"{name} {at}: {item}" for item in wrong(deployment, zygote, number)]
        if bad:
            break
    return len(moments), kills, bad


def _watched(deployment: Deployment) -> Counter[str]:
    """Run a sync to its end and return how many calls of each kind its main thread makes."""
    log = deployment.folder / "strace.log"
    _traced(deployment, ["-o", str(log)])
    lines = log.read_text("utf-8", "replace").splitlines()
    main = lines[0].split()[0]
    return Counter(found[1] for line in lines if (found := re.match(rf"{main} +(\w+)\(", line)))


def _traced(deployment: Deployment, options: Sequence[str]) -> int:
    """Run a sync under strace and return how it ended; strace dies of what its child dies of."""
    quiet = [] if "-o" in options else ["-o", "/dev/null"]
    command = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", *quiet, *options]
    with (deployment.folder / "traced.log").open("ab") as log:
        return subprocess.run(
            [*command, *deployment.command("sync")],
            cwd=deployment.folder,
            env=deployment.environ(),
            stdout=log,
            stderr=log,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
