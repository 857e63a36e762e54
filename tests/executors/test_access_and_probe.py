"""What `doctor` finds out about workers, and which addresses of a Dask cluster are refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.errors import UsageError
from batchsync.executors.dask_access import check_access
from batchsync.executors.opening import DaskAccess
from batchsync.executors.probe import Probe, WorkerReport, examine_workers
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class OtherWorkers:
    """An executor whose workers answer as a test says."""

    answer: Callable[[Callable[[Probe], WorkerReport], Probe], WorkerReport | BaseException]

    def run_on_each_worker(
        self, function: Callable[[Probe], WorkerReport], probe: Probe
    ) -> dict[str, WorkerReport | BaseException]:
        return {"tls://worker:1": self.answer(function, probe)}


def found(folder: Path, answer: Any) -> tuple[str, str]:
    """Return what is found of a worker, and the fix."""
    executor: Any = OtherWorkers(answer)
    [finding] = examine_workers(executor, LocalFolder(folder), "token")
    assert finding.worker == "tls://worker:1"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    return finding.found, finding.fix


def test_workers_of_any_executor_are_examined(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        findings = list(examine_workers(pool, LocalFolder(tmp_path), "token"))
    assert [finding.fix for finding in findings] == [""]


def test_other_version_is_named_with_the_command(tmp_path: Path) -> None:
    def answer(function: Any, probe: Probe) -> WorkerReport:
        report = function(probe)
        return replace(report, versions=report.versions | {"polars": "1.0.0", "pyarrow": ""})

    text, fix = found(tmp_path, answer)
    assert text.startswith("has polars 1.0.0 instead of ")
    assert "pyarrow missing instead of" in text
    assert fix.startswith("on the worker: pip install 'polars==")


def test_other_python_is_named(tmp_path: Path) -> None:
    def answer(function: Any, probe: Probe) -> WorkerReport:
        report = function(probe)
        return replace(report, versions=report.versions | {"python": "3.10.1"})

    text, fix = found(tmp_path, answer)
    assert text.startswith("has python 3.10.1 instead of 3.")
    assert fix.startswith("run the worker with Python 3.")


@pytest.mark.parametrize(
    ("reads", "text"), [(False, "cannot read what this process wrote to"), (True, "writes to a folder of its own")]
)
def test_folder_that_is_not_shared_is_named(tmp_path: Path, text: str, *, reads: bool) -> None:
    def answer(function: Any, probe: Probe) -> WorkerReport:
        if not reads:
            report: WorkerReport = function(replace(probe, objects=LocalFolder(tmp_path.with_name("other"))))
            return report
        report = function(probe)
        probe.objects.delete(report.key)
        return report

    message, fix = found(tmp_path, answer)
    assert message.startswith(text)
    assert "mount the state folder under the same path" in fix


def test_worker_without_batchsync_is_named(tmp_path: Path) -> None:
    text, fix = found(tmp_path, lambda *_: ModuleNotFoundError("No module named 'batchsync'"))
    assert text == "cannot run a task of batchsync (ModuleNotFoundError: No module named 'batchsync')"
    assert fix.startswith("install batchsync ")


@pytest.fixture
def certificates(tmp_path: Path) -> DaskAccess:
    """Access with files that exist."""
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").touch()
    return DaskAccess(
        address="tls://scheduler:8786",
        ca=tmp_path / "ca.pem",
        certificate=tmp_path / "cert.pem",
        key=tmp_path / "key.pem",
    )


def test_addresses_that_are_allowed(certificates: DaskAccess) -> None:
    check_access(certificates)
    check_access(DaskAccess(address="tcp://127.0.0.1:8786"))
    check_access(DaskAccess(address="tcp://localhost:8786"))
    check_access(DaskAccess(address="tcp://[::1]:8786"))
    check_access(DaskAccess(address="tcp://10.0.0.1:8786", unencrypted=True))


@pytest.mark.parametrize(
    ("address", "message", "hint"),
    [
        ("", "needs the address of its scheduler in BATCHSYNC_DASK_ADDRESS", "export BATCHSYNC_DASK_ADDRESS=tls://"),
        ("tcp://scheduler:8786", "is tcp:// to another machine", "BATCHSYNC_DASK_ALLOW_TCP=1"),
        ("tcp://127.0.0.1.example.com:8786", "is tcp:// to another machine", "BATCHSYNC_DASK_ALLOW_TCP=1"),
        ("tls://scheduler:8786", "BATCHSYNC_DASK_TLS_CA is not set", "export BATCHSYNC_DASK_TLS_CA="),
        ("scheduler:8786", "is no address of a scheduler", "tls://HOST:PORT"),
        ("tls://scheduler", "is no address of a scheduler", "tls://HOST:PORT"),
        ("tls://user:secret@scheduler:8786", "is no address of a scheduler", "tls://HOST:PORT"),
        ("inproc://1:2", "is no address of a scheduler", "tls://HOST:PORT"),
        ("tls://scheduler:port", "is no address of a scheduler", "tls://HOST:PORT"),
    ],
)
def test_addresses_that_are_refused(address: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        check_access(DaskAccess(address=address))
    assert hint in raised.value.hint
    assert "secret" not in raised.value.message
    assert raised.value.name == "usage.setting"


def test_certificate_that_is_no_file_is_refused(certificates: DaskAccess, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"BATCHSYNC_DASK_TLS_KEY: .*none\.pem is no readable file"):
        check_access(replace(certificates, key=tmp_path / "none.pem"))
