"""`python -m kit.syscall_kills`: strace kills the real command at the n-th system call that changes a file or a socket.

A first sync is traced to count such calls of its main thread. Then, for each n: change the sources, start a sync that
dies as it enters its n-th call, let the next process finish, and check the vendors' ledgers.
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
from kit.changing_sources import finish, violations, write_version
from kit.deployment import JOBS, Deployment
from kit.zygote import Zygote
from simulation.seeds import memory_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

#: System calls that create, change, rename, remove or fsync files, or send.
CALLS = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,"
    "unlinkat,rmdir,mkdir,mkdirat,sendto,sendmsg"
)


def can_trace() -> bool:
    """Return whether strace is installed and permitted."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def main() -> int:
    """Run all kills; print the numbers of calls and kills, and all violations."""
    parser = argparse.ArgumentParser(prog="kit.syscall_kills")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    arguments = parser.parse_args()
    if not can_trace():
        sys.stdout.write("strace is not installed or not permitted: nothing was done\n")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="batchsync-syscalls-", dir=memory_folder()))
    try:
        (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
        with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
            deployment = Deployment(folder, mocks)
            with Zygote(deployment) as zygote:
                calls, kills, bad = _all(deployment, zygote, arguments.first, arguments.stride)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = f"{used.ru_utime + used.ru_stime:.0f} s of processor time"
    sys.stdout.write("\n".join([f"{calls} calls, {kills} died, {len(bad)} violations; {took}", *bad, ""]))
    return bool(bad)


def _all(deployment: Deployment, zygote: Zygote, first: int, stride: int) -> tuple[int, int, list[str]]:
    """Return the number of calls of a sync, the number of processes that died, and all violations."""
    # The third sync has as much work as all later ones.
    write_version(deployment.folder, 0)
    deployment.run("sync")
    write_version(deployment.folder, 1)
    deployment.run("sync")
    write_version(deployment.folder, 60 * 60 * 8 + 1)
    calls = _count_calls(deployment)
    kills, bad = 0, []
    kill_points = [(name, at) for name, count in sorted(calls.items()) for at in range(1, count + 1)]
    for round_, (name, at) in enumerate(kill_points[first - 1 :: stride], start=1):
        # In steps of 60 the sources keep their size and number of changes, so that the calls are the same.
        number = 60 * round_ + 1
        write_version(deployment.folder, number)
        # strace counts each kind of call by itself.
        kills += _traced(deployment, ["-e", f"inject={name}:signal=KILL:when={at}"]) == -signal.SIGKILL
        finish(zygote)
        bad += [f"{name} {at}: {item}" for item in violations(deployment, zygote, number)]
        if bad:
            break
    return len(kill_points), kills, bad


def _count_calls(deployment: Deployment) -> Counter[str]:
    """Run a sync to its end and return the number of calls of its main thread by name."""
    log = deployment.folder / "strace.log"
    _traced(deployment, ["-o", str(log)])
    lines = log.read_text("utf-8", "replace").splitlines()
    main = lines[0].split()[0]
    return Counter(found[1] for line in lines if (found := re.match(rf"{main} +(\w+)\(", line)))


def _traced(deployment: Deployment, options: Sequence[str]) -> int:
    """Run a sync under strace and return its exit code; strace dies of the signal of its child."""
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
