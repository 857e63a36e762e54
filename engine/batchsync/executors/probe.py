"""Examination of the workers of an executor: their versions, and whether they share the state folder."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from batchsync.errors import UnavailableError
from batchsync.executors.opening import cores
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from batchsync.ports import ObjectStore

_PACKAGES = ("batchsync", "polars", "pyarrow")
_PREFIX = "doctor"
#: Longest wait for the answer of all workers, in seconds.
_ANSWER_MAX = 120.0


@runtime_checkable
class RunsOnEachWorker(Protocol):
    """An executor, or its backend, that can address its workers."""

    def run_on_each_worker(
        self, function: Callable[[Probe], WorkerReport], probe: Probe
    ) -> Mapping[str, WorkerReport | BaseException]:
        """Return what a function returned or raised on each worker, by the address of the worker."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a worker is to read and write.

    Attributes:
        objects: The object store.
        token: Part of the keys of this examination.
        digest: SHA-256 digest of the object that this process wrote.
    """

    objects: ObjectStore
    token: str
    digest: str

    @property
    def key(self) -> str:
        """Key of the object that the driver writes."""
        return f"{_PREFIX}/{self.token}-driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker found.

    Attributes:
        name: Machine and process.
        versions: Versions of Python and of packages.
        problem: Why it does not share the object store, as the end of a sentence; empty if it does.
        key: Key of the object that it wrote; empty if it wrote none.
    """

    name: str
    versions: dict[str, str]
    problem: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFinding:
    """Result of the examination of one worker.

    Attributes:
        worker: Machine and process, or address.
        found: What was found, as a sentence.
        fix: What to do; empty if the worker can be used.
    """

    worker: str
    found: str
    fix: str = ""


def examine_workers(executor: Executor, objects: ObjectStore, token: str) -> Iterator[WorkerFinding]:
    """Examine all workers that are known now.

    Args:
        executor: The executor, which is started.
        objects: Object store of this process; it has no object of the examination afterwards.
        token: A text that no other examination of this store has at the same time.

    Yields:
        What was found of each worker.

    Raises:
        BatchsyncError: If the executor does not start, or has no answer.
        OSError: If this process cannot write to the object store.
    """
    probe = Probe(objects=objects, token=token, digest=sha256_of(token.encode()))
    _write(objects, probe.key, token)
    try:
        for name, answer in _answers(executor, probe).items():
            yield _finding(name, answer, objects)
    finally:
        objects.delete(probe.key)


def _answers(executor: Executor, probe: Probe) -> Mapping[str, WorkerReport | BaseException]:
    """Return the reports of all workers, or of as many as there are calls at a time.

    Raises:
        UnavailableError: If they do not answer.
    """
    backend = getattr(executor, "backend", executor)
    if isinstance(backend, RunsOnEachWorker):
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(backend.run_on_each_worker, report_of_worker, probe)
            try:
                return asked.result(_ANSWER_MAX)
            except TimeoutError:
                raise UnavailableError(
                    "a worker did not answer in time", hint="start the workers again", name="environment.executor"
                ) from None
    count = getattr(executor, "concurrency", None) or cores()
    reports = [future.result() for future in [executor.submit(report_of_worker, probe) for _ in range(count)]]
    return {report.name: report for report in reports}


def report_of_worker(probe: Probe) -> WorkerReport:
    """Return what this process finds, as a task of a worker.

    Args:
        probe: What to read and to write.
    """
    name = f"{socket.gethostname()}/{os.getpid()}"
    versions = _versions()
    try:
        with probe.objects.get(probe.key) as path:
            digest = sha256_of(path.read_bytes())
    except OSError as error:
        problem = f"cannot read what this process wrote to {probe.objects.location(_PREFIX)} ({type(error).__name__})"
        return WorkerReport(name=name, versions=versions, problem=problem)
    if digest != probe.digest:
        return WorkerReport(name=name, versions=versions, problem="reads something else than this process wrote")
    key = f"{_PREFIX}/{probe.token}-{name.replace('/', '-')}"
    try:
        _write(probe.objects, key, name)
    except OSError as error:
        problem = f"cannot write to {probe.objects.location(_PREFIX)} ({type(error).__name__})"
        return WorkerReport(name=name, versions=versions, problem=problem)
    return WorkerReport(name=name, versions=versions, key=key)


def _finding(name: str, answer: WorkerReport | BaseException, objects: ObjectStore) -> WorkerFinding:
    """Return what was found of a worker."""
    if isinstance(answer, BaseException):
        error = f"{type(answer).__name__}: {answer}"
        fix = f"install batchsync {version('batchsync')} with the same packages on the worker"
        return WorkerFinding(worker=name, found=f"cannot run a task of batchsync ({error})", fix=fix)
    # Read in any case: the object is deleted, too.
    problem = answer.problem or _unread(answer, objects)
    ours = _versions()
    differing = [package for package in ours if answer.versions.get(package) != ours[package]]
    if differing:
        pairs = ", ".join(
            f"{item} {answer.versions.get(item) or 'missing'} instead of {ours[item]}" for item in differing
        )
        packages = " ".join(f"'{item}=={ours[item]}'" for item in differing if item != "python")
        fix = f"on the worker: pip install {packages}" if packages else f"run the worker with Python {ours['python']}"
        return WorkerFinding(worker=name, found=f"has {pairs}", fix=fix)
    if problem:
        fix = "mount the state folder under the same path on all workers, or name a shared one with --state"
        return WorkerFinding(worker=name, found=problem, fix=fix)
    shown = ", ".join(f"{package} {number}" for package, number in ours.items())
    return WorkerFinding(worker=name, found=f"{shown}; shares the state folder")


def _unread(report: WorkerReport, objects: ObjectStore) -> str:
    """Return why this process cannot read what a worker wrote; empty if it can. The object is deleted."""
    try:
        with objects.get(report.key) as path:
            same = path.read_text(encoding="utf-8") == report.name
        objects.delete(report.key)
    except OSError as error:
        return (
            f"writes to a folder of its own: nothing of it is at {objects.location(_PREFIX)} ({type(error).__name__})"
        )
    return "" if same else "writes something else than this process reads"


def _write(objects: ObjectStore, key: str, text: str) -> None:
    """Put a text into the object store."""
    with tempfile.TemporaryDirectory(prefix="batchsync-probe-") as folder:
        file = Path(folder) / "probe"
        file.write_text(text, encoding="utf-8")
        objects.put(key, file)


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that must be the same everywhere."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found
