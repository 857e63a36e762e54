"""What nobody would follow is said: batches whose job was renamed, and cancels that cannot be."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from kit.deployment import Deployment

CDP = "sitecore-cdp"


def _renamed(deployment: Deployment) -> None:
    """Let the job guests have another name."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("  guests:", "  people:"), encoding="utf-8")


def _said(deployment: Deployment, *arguments: str, expect: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        deployment.command("-q", *arguments),
        cwd=deployment.folder,
        env=deployment.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def _open_batch(deployment: Deployment) -> str:
    return str(deployment.json("status")["open"][0]["batch"])


def test_resume_and_sync_warn_of_batches_whose_job_was_renamed_and_resume_is_not_done(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    _renamed(deployment)

    warning = "warning: 1 batch of job guests open, which is not in the jobs file: put the job back, or end"
    assert warning in _said(deployment, "resume", expect=5).stderr
    assert warning in _said(deployment, "resume", "people", expect=0).stderr
    assert warning in _said(deployment, "sync", "vehicles", expect=0).stderr


def test_a_batch_of_a_renamed_job_that_was_sent_ends_by_resolve_only(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    _renamed(deployment)
    batch = _open_batch(deployment)

    refused = _said(deployment, "cancel", "guests", expect=2)
    assert f"lading resolve {batch} --resend" in refused.stdout
    assert "next:" not in refused.stdout
    assert 'put job "guests" back' in _said(deployment, "resolve", batch, "--delivered", expect=2).stderr
    ended = _said(deployment, "resolve", batch, "--resend", expect=0)

    assert ended.stdout == f"batch {batch}: recorded that the vendor has none of its rows\n"
    assert "warning" not in _said(deployment, "resume", expect=0).stderr


def test_a_batch_of_a_renamed_job_that_was_not_sent_is_cancelled(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="refuse", vendor=CDP, method="PUT", path="/v2/batches", times=0))
    deployment.run("sync", "guests", "--no-wait", expect=5)
    deployment.mocks.disarm()
    _renamed(deployment)

    done = _said(deployment, "cancel", "guests", expect=0)

    assert "given up, nothing of it was sent" in done.stdout
    assert "next:" not in done.stdout
    assert "warning" not in _said(deployment, "resume", expect=0).stderr


def test_a_cancel_that_is_refused_says_what_can_be_done(deployment: Deployment) -> None:
    """The upload is in doubt, and the vendor has forgotten the slot."""
    deployment.mocks.arm(
        Fault(kind="lose_answer", vendor=CDP, method="PUT", path="/_storage", times=0),
        Fault(kind="vanish", vendor=CDP, method="GET", path="/inspect/", times=0),
    )
    deployment.run("sync", "guests", expect=3)
    batch = _open_batch(deployment)

    refused = _said(deployment, "cancel", "guests", expect=2).stdout

    assert "stuck with an upload in doubt: too late to cancel it" in refused
    assert f"`lading resolve {batch} --resend` (or `--delivered`)" in refused
