"""A Dask cluster as its owner would run it: a scheduler and workers in processes of their own, with certificates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_START_SECONDS = 60


@dataclass
class DaskCluster:
    """A cluster whose files are in a folder."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        found: str = json.loads(self.file("scheduler.json").read_text(encoding="utf-8"))["address"]
        return found

    def file(self, name: str) -> Path:
        """Return the path of a file of the cluster."""
        return self.folder / name

    def log(self, name: str) -> str:
        """Return what a process has printed."""
        return self.file(f"{name}.log").read_text(encoding="utf-8")

    def settings(self) -> Mapping[str, str]:
        """Return the variables with which batchsync reaches the cluster."""
        files = {name: str(self.file(f"{name.lower()}.pem")) for name in ("CA", "CERT", "KEY")}
        return {
            "BATCHSYNC_DASK_ADDRESS": self.address,
            **{f"BATCHSYNC_DASK_TLS_{name}": path for name, path in files.items()},
        }

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start the scheduler or a worker."""
        tls = [f"--tls-{name}={self.file(file)}" for name, file in (("ca-file", "ca.pem"), ("cert", "cert.pem"))]
        tls.append(f"--tls-key={self.file('key.pem')}")
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}
        environ |= {"DASK_LOGGING__DISTRIBUTED": "info"}
        with self.file(f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *tls, *arguments],
                cwd=self.folder,
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it has an address."""
        self.file("scheduler.json").unlink(missing_ok=True)
        # Its service on HTTP takes any free port; nothing of it is used.
        options = ("--host=127.0.0.1", "--port=0", "--protocol=tls", "--dashboard-address=127.0.0.1:0")
        self.start("scheduler", "dask_scheduler", *options, f"--scheduler-file={self.file('scheduler.json')}")
        self.wait_until(lambda: self.file("scheduler.json").exists() and self.log("scheduler"))

    def start_worker(self, name: str) -> None:
        """Start a worker with one thread, under a nanny."""
        options = ("--nthreads=1", "--nworkers=1", "--memory-limit=0", "--no-dashboard", "--host=127.0.0.1")
        self.start(name, "dask_worker", *options, f"--scheduler-file={self.file('scheduler.json')}")

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait()

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            assert time.monotonic() < deadline, {name: self.log(name)[-2000:] for name in self.processes}
            time.sleep(0.05)


def write_certificates(folder: Path) -> None:
    """Write the certificates of a new authority, and one that all sides use."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    """Yield a running cluster; its processes end with the block."""
    folder.mkdir(parents=True)
    write_certificates(folder)
    cluster = DaskCluster(folder)
    with ExitStack() as running:
        running.callback(lambda: [cluster.kill(name) for name in cluster.processes])
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(f"worker-{number}")
        yield cluster
