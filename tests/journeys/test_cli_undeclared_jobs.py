"""Open batches of renamed jobs are reported, and a cancel that is too late names the next command."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from batchsync_mocks.faults import Fault

if TYPE_CHECKING:
    from kit.deployment import Deployment

CDP = "sitecore-cdp"


def _rename_job(deployment: Deployment) -> None:
    """Rename the job guests."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("  guests:", "  people:"), encoding="utf-8")


def _run(deployment: Deployment, *arguments: str, expect: int) -> subprocess.CompletedProcess[str]:
    completed = subprocess.run(
        deployment.command("-q", *arguments),
        cwd=deployment.folder,
        env=deployment.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == expect, completed.stdout + completed.stderr
    return completed


def _open_batch(deployment: Deployment, *, expect: int = 0) -> str:
    return str(deployment.json("status", expect=expect)["open"][0]["batch"])


def test_resume_and_sync_warn_of_batches_of_renamed_job(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    _rename_job(deployment)

    warning = "warning: 1 batch of job guests open, which is not in the jobs file: restore the job, or end"
    assert warning in _run(deployment, "resume", expect=5).stderr
    assert warning in _run(deployment, "resume", "people", expect=0).stderr
    assert warning in _run(deployment, "sync", "vehicles", expect=0).stderr


def test_sent_batch_of_renamed_job_requires_resolve(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    _rename_job(deployment)
    batch = _open_batch(deployment)

    refused = _run(deployment, "cancel", "guests", expect=2)
    assert f"batchsync resolve {batch} --resend" in refused.stdout
    assert "next:" not in refused.stdout
    assert 'restore job "guests"' in _run(deployment, "resolve", batch, "--delivered", expect=2).stderr
    resolved = _run(deployment, "resolve", batch, "--resend", expect=0)

    assert resolved.stdout == f"batch {batch}: recorded that the vendor has none of its rows\n"
    assert "warning" not in _run(deployment, "resume", expect=0).stderr


def test_unsent_batch_of_renamed_job_is_cancelled(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="refuse", vendor=CDP, method="PUT", path="/v2/batches", times=0))
    deployment.run("sync", "guests", "--no-wait", expect=5)
    deployment.mocks.disarm()
    _rename_job(deployment)

    cancelled = _run(deployment, "cancel", "guests", expect=0)

    assert "cancelled, nothing was sent" in cancelled.stdout
    assert "next:" not in cancelled.stdout
    assert "warning" not in _run(deployment, "resume", expect=0).stderr


def test_refused_cancel_shows_next_command(deployment: Deployment) -> None:
    """The upload is in doubt, and the vendor no longer reports the allocation."""
    deployment.mocks.arm(
        Fault(kind="lose_answer", vendor=CDP, method="PUT", path="/_storage", times=0),
        Fault(kind="vanish", vendor=CDP, method="GET", path="/inspect/", times=0),
    )
    deployment.run("sync", "guests", expect=8)
    batch = _open_batch(deployment, expect=8)

    refused = _run(deployment, "cancel", "guests", expect=2).stdout

    assert f"too late to cancel batch {batch}: needs attention with an upload in doubt" in refused
    assert f"`batchsync resolve {batch} --resend` (or `--delivered`)" in refused
