"""Included files, environments and `fmt` on the command line, with the real commands against mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.app import App
from batchsync.cli.reload import JobsReloader
from batchsync.settings import Settings
from kit.deployment import CDP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from batchsync.errors import BatchsyncError
    from batchsync.reconcile.services import SelectedJob
    from kit.deployment import Deployment

ENVIRONMENTS = """environments:
  test: {jobs: {guests: {source: {path: test.csv}}}}
  prod: {}
"""


def split(deployment: Deployment) -> Path:
    """Move the jobs of jobs.yaml to files of their own, and return the folder of these."""
    text = (deployment.folder / "jobs.yaml").read_text(encoding="utf-8")
    head, _, jobs = text.partition("jobs:\n")
    vehicles, sign, guests = jobs.partition("  guests:\n")
    (deployment.folder / "jobs").mkdir()
    (deployment.folder / "jobs" / "vehicles.yaml").write_text("jobs:\n" + vehicles, encoding="utf-8")
    (deployment.folder / "jobs" / "guests.yaml").write_text("jobs:\n" + sign + guests, encoding="utf-8")
    (deployment.folder / "jobs.yaml").write_text(head + "include: jobs/*.yaml\n", encoding="utf-8")
    return deployment.folder / "jobs"


def with_environments(deployment: Deployment) -> None:
    """Declare environments, of which test reads another file with two guests."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + ENVIRONMENTS, encoding="utf-8")
    (deployment.folder / "test.csv").write_text("id,name,email\nT1,a,a@example.com\nT2,b,b@example.com\n")


def log(deployment: Deployment) -> str:
    """Return what the last command printed."""
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def test_moving_jobs_to_other_files_sends_nothing_again(deployment: Deployment) -> None:
    deployment.run("sync")
    before = deployment.delivered(CDP)
    split(deployment)
    jobs = deployment.json("sync")["jobs"]
    assert [job["runs"][0]["sent"] for job in jobs if job["job"] == "guests"] == [0]
    assert deployment.delivered(CDP) == before


def test_a_folder_of_jobs_is_an_option_of_every_command(deployment: Deployment) -> None:
    folder = split(deployment)
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text().replace("include: jobs/*.yaml\n", ""), encoding="utf-8")
    assert deployment.json("--jobs", str(folder), "validate")["jobs"] == ["guests", "vehicles"]
    assert deployment.json("validate", "--jobs", "jobs")["jobs"] == ["guests", "vehicles"]
    deployment.run("validate", expect=2)
    deployment.run("--jobs", "jobs", "sync", "guest", expect=2)
    assert "jobs are: guests, vehicles" in log(deployment)


def test_an_environment_has_a_state_of_its_own(deployment: Deployment) -> None:
    with_environments(deployment)
    deployment.run("sync", expect=2)
    assert "--env test or --env prod [" not in log(deployment)
    assert "add --env test or --env prod" in log(deployment)
    deployment.run("--env", "tset", "sync", expect=2)
    assert 'did you mean "test"?' in log(deployment)
    deployment.run("--env", "test", "sync", "guests")
    assert len(deployment.delivered(CDP)) == 2
    for command in (["sync"], ["status"], ["plan"], ["resume"], ["history"]):
        deployment.run("--env", "prod", *command, expect=3)
        assert "is the state of environment test, and environment prod is chosen [BS-J006]" in log(deployment)
    assert len(deployment.delivered(CDP)) == 2
    deployment.run("--env", "prod", "--state", "prod-state", "sync", "guests")
    assert len(deployment.delivered(CDP)) == 31
    deployment.run("--env", "test", "status")


def test_a_state_of_before_the_environments_is_taken_over_once(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    with_environments(deployment)
    plan = deployment.json("--env", "prod", "plan", "guests")
    assert plan["jobs"][0]["add"] == 0
    deployment.run("--env", "prod", "sync", "guests")
    deployment.run("--env", "test", "sync", "guests", expect=3)
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(ENVIRONMENTS, ""), encoding="utf-8")
    deployment.run("sync", "guests", expect=3)
    assert "and no environment is chosen" in log(deployment)


def test_problems_of_an_included_file_are_printed_with_its_place(deployment: Deployment) -> None:
    folder = split(deployment)
    guests = folder / "guests.yaml"
    guests.write_text(guests.read_text().replace("=lower(email)", "=lower(emial)"), encoding="utf-8")
    deployment.run("validate", expect=2)
    assert "jobs/guests.yaml:9:14: the source has no column 'emial' [BS-D001]" in log(deployment)
    assert "  9 |       email: =lower(emial)\n" in log(deployment)


def test_files_of_strangers_include_nothing_outside(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = split(deployment)
    secret = tmp_path_factory.mktemp("outside") / "secret.yaml"
    secret.write_text("hunter2: [\n", encoding="utf-8")
    deployment.run("validate", "--untrusted")
    (folder / "link.yaml").symlink_to(secret)
    deployment.run("validate", "--untrusted", expect=2)
    assert "leads through a link out of" in log(deployment)
    assert "hunter2" not in log(deployment)
    (folder / "link.yaml").unlink()
    with_environments(deployment)
    deployment.run("--env", "prod", "validate", "--untrusted")


class Listener:
    """Listener of reloads."""

    def __init__(self) -> None:
        self.reloads: list[list[str]] = []
        self.errors: list[str] = []

    def reloaded(self, active: Sequence[SelectedJob], removed: Sequence[str], *, secrets: bool) -> None:  # noqa: ARG002 - the protocol
        self.reloads.append([item.job.name for item in active])

    def failed(self, error: BatchsyncError, *, secrets: bool, job: str = "") -> None:  # noqa: ARG002 - the protocol
        self.errors.append(error.message)


def test_serve_watches_all_included_files(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = split(deployment)
    for name, text in deployment.environ().items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(deployment.folder)
    with App(Settings()) as app:
        app.services()
        listener = Listener()
        reload = JobsReloader(app, (), listener, lambda _: None)
        assert [item.job.name for item in reload()] == ["guests", "vehicles"]
        assert [item.job.name for item in reload()] == ["guests", "vehicles"]
        assert listener.reloads == []
        guests = folder / "guests.yaml"
        guests.write_text(guests.read_text().replace("=initcap(name)", "=upper(name)"), encoding="utf-8")
        assert "upper" in repr(reload()[0].job.record)
        more = guests.read_text().replace("  guests:", "  people:")
        (folder / "more.yaml").write_text(more, encoding="utf-8")
        assert [item.job.name for item in reload()] == ["guests", "people", "vehicles"]
        (folder / "more.yaml").write_text("jobs: [", encoding="utf-8")
        assert [item.job.name for item in reload()] == ["guests", "people", "vehicles"]
        assert listener.errors
        (folder / "more.yaml").unlink()
        assert [item.job.name for item in reload()] == ["guests", "vehicles"]


def test_fmt_writes_all_files_and_check_writes_none(deployment: Deployment) -> None:
    folder = split(deployment)
    guests = folder / "guests.yaml"
    guests.chmod(0o640)
    odd = guests.read_text(encoding="utf-8").replace("    mode: upsert\n", "    mode:   'upsert'  # ours\n")
    guests.write_text(odd, encoding="utf-8")
    assert "jobs/guests.yaml: would be changed" in deployment.run("fmt", "--check", expect=10)
    assert guests.read_text(encoding="utf-8") == odd
    assert deployment.json("fmt", "--check", expect=10)["written"] is False
    changed = deployment.json("fmt")["changed"]
    assert [name.rpartition("/")[2] for name in changed][-1] == "guests.yaml"
    assert '    mode: "upsert" # ours\n' in guests.read_text(encoding="utf-8")
    assert oct(guests.stat().st_mode & 0o777) == "0o640"
    assert "formatted already" in deployment.run("fmt", "--check")
    assert sorted(path.name for path in folder.iterdir()) == ["guests.yaml", "vehicles.yaml"]
    deployment.run("validate")


def test_fmt_leaves_invalid_files_and_links_as_they_are(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    real = deployment.folder / "real.yaml"
    real.write_text(text.replace("version: 1", "version:   1"), encoding="utf-8")
    file.unlink()
    file.symlink_to(real)
    deployment.run("fmt", "jobs.yaml")
    assert file.is_symlink()
    assert "version: 1\n" in real.read_text(encoding="utf-8")
    (deployment.folder / "bad.yaml").write_text("jobs: [", encoding="utf-8")
    deployment.run("fmt", "bad.yaml", "real.yaml", expect=2)
    assert "bad.yaml:1:8" in log(deployment)
    assert (deployment.folder / "bad.yaml").read_text(encoding="utf-8") == "jobs: ["
