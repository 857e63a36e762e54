"""`batchsync serve` follows a branch and a folder; what cannot be used leaves the last good revision active."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kit.git_repository import Repository, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.deployment import Deployment

CDP = "sitecore-cdp"


class Served:
    """A running `serve`, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log, self.seen = process, log, 0

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> str:
        """Wait for a pattern in what was written since the last one, and return the match."""
        deadline = time.monotonic() + 60
        while not (found := re.compile(pattern).search(self.text(), self.seen)):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)
        self.seen = found.end()
        return found[0]


@contextmanager
def serving(deployment: Deployment, *more: str, kill: bool = False) -> Iterator[Served]:
    """Run `serve` in a subprocess, in a working directory without a jobs file."""
    log = deployment.folder / "served.log"
    working = deployment.folder / "working"
    working.mkdir(exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            deployment.command("serve", "--poll", "1s", *more),
            cwd=working,
            env=deployment.environ() | {"BATCHSYNC_STATE": str(deployment.folder / "state")},
            stdout=out,
            stderr=out,
        )
    found = Served(process, log)
    try:
        yield found
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        assert process.wait(timeout=30) == (-signal.SIGKILL if kill else 143), found.text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in found.text()


@pytest.fixture
def repository(deployment: Deployment) -> Repository:
    """Return a repository with the jobs and sources of the deployment, which is emptied."""
    made = Repository.made(deployment.folder / "jobs")
    for name in ("jobs.yaml", "guests.csv", "vehicles.csv"):
        (deployment.folder / name).rename(made.folder / name)
    schedule = "    schedule: {every: 1h}\n    on_removed:"
    file = made.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("    on_removed:", schedule), encoding="utf-8")
    made.commit_all()
    return made


def edit(repository: Repository, old: str, new: str) -> str:
    """Replace a text in jobs.yaml, and return the commit."""
    file = repository.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return repository.commit_all()


def test_merges_are_run_and_bad_ones_leave_last_good_one_active(repository: Repository, deployment: Deployment) -> None:
    first = repository.head()
    where = ("--git", f"{repository.folder}#main")
    with serving(deployment, *where) as run:
        run.wait_for(rf"serving [\w, ]*guests of revision {first[:12]}; the next tick is 2\d\d\d-")
        run.wait_for(r"guests: settled[^\0]*29 added")
        bad = edit(repository, "=lower(email)", "=lower(email")
        refused = run.wait_for(r"\S+jobs\.yaml:\d+:\d+[^\0]*is invalid; the previous jobs stay active")
        assert f"checkouts/{bad[:12]}/jobs.yaml" in refused
        assert f"revision {bad[:12]}," in refused
        assert (deployment.folder / "state/mocks/checkouts/current").readlink().name == first[:12]
        # The merge is undone by a force-push, and another one changes records.
        repository.run("reset", "--quiet", "--hard", first)
        run.wait_for(r"has changed; active jobs: vehicles, guests")
        good = edit(repository, "=initcap(name)", "=upper(name)")
        run.wait_for(rf"revision {good[:12]}, has changed; active jobs: vehicles, guests")
        run.wait_for(r"0 added, 29 changed, 0 removed")
    assert {path.name for path in (deployment.folder / "state/mocks/checkouts").iterdir()} == {
        "current",
        "deployment.json",
        good[:12],
    }


def test_killed_process_begins_with_last_good_commit_also_offline(
    repository: Repository, deployment: Deployment
) -> None:
    where = ("--git", f"{repository.folder}#main")
    with serving(deployment, *where) as run:
        run.wait_for(r"guests: settled")
    bad = edit(repository, "version: 1", "version: [")
    with serving(deployment, *where, kill=True) as run:
        run.wait_for(rf"revision {bad[:12]}, has changed and is invalid; the previous jobs stay active")
        run.wait_for(r"waiting until")
    repository.folder.rename(deployment.folder / "offline")
    with serving(deployment, *where, "-o", "ndjson", "--quiet") as run:
        failed = json.loads(run.wait_for(r'\{"event": ?"origin_checked".*\n'))
        assert failed["error"]["message"].startswith(f"{repository.folder}#main: fatal:")
        run.wait_for(r'"event": ?"waiting"')
        (deployment.folder / "offline").rename(repository.folder)
        assert json.loads(run.wait_for(r'\{"event": ?"origin_checked".*\n'))["error"] is None
        mended = edit(repository, "version: [", "version: 1")
        reloaded = json.loads(run.wait_for(r'\{"event": ?"jobs_reloaded".*\n'))
        assert reloaded["revision"] == mended


def test_first_commit_that_is_invalid_ends_with_its_problems(repository: Repository, deployment: Deployment) -> None:
    edit(repository, "mode: upsert", "mode: upsrt")
    state = str(deployment.folder / "state")
    deployment.run("serve", "--once", "--git", f"{repository.folder}#main", "--state", state, expect=2)
    assert "upsrt" in deployment.shown()
    repository.folder.rename(deployment.folder / "gone")
    deployment.run("serve", "--once", "--git", f"{repository.folder}#main", "--state", state, expect=3)
    assert "git must reach it without asking" in deployment.shown()


def test_results_stay_put_and_other_commands_read_active_revision(
    repository: Repository, deployment: Deployment
) -> None:
    edit(repository, "    results:", "    schedule: {every: 1h}\n    results:")
    state = deployment.folder / "state"
    with served(deployment.folder) as url:
        deployment.run("serve", "--once", "--git", f"{url}/jobs#main", "--state", str(state))
        deployment.mocks.advance(2 * 3600)
        repository.commit(note_txt="newer")
        deployment.run("serve", "--once", "--git", f"{url}/jobs#main", "--state", str(state), expect=5)
    active = str(state / "mocks" / "checkouts" / "current" / "jobs.yaml")
    deployment.run("-f", active, "--state", str(state), "resume")
    results = state / "mocks" / "results" / "out" / "vehicles.csv"
    assert len(results.read_text(encoding="utf-8").splitlines()) > 1
    assert "guests" in deployment.run("-f", active, "--state", str(state), "status")
    assert "nothing to send" in deployment.run("-f", active, "--state", str(state), "plan", "guests")
    deployment.run("-f", active, "sync", expect=2)
    assert f"export BATCHSYNC_STATE={state}" in deployment.shown()


def test_watched_config_map_is_followed(repository: Repository, deployment: Deployment) -> None:
    mounted = deployment.folder / "mounted"
    mounted.mkdir()

    def mount(number: int) -> None:
        repository.folder.joinpath("jobs.yaml").stat()
        version = mounted / f"..2026_{number}"
        version.mkdir()
        for name in ("jobs.yaml", "guests.csv", "vehicles.csv"):
            (version / name).write_bytes((repository.folder / name).read_bytes())
        (mounted / "..new").symlink_to(version.name)
        (mounted / "..new").replace(mounted / "..data")

    mount(1)
    for name in ("jobs.yaml", "guests.csv", "vehicles.csv"):
        (mounted / name).symlink_to(f"..data/{name}")
    with serving(deployment, "--watch", str(mounted)) as run:
        run.wait_for(r"guests: settled[^\0]*29 added")
        edit(repository, "    on_removed:", "    budgett: 1\n    on_removed:")
        mount(2)
        run.wait_for(r"budgett[^\0]*is invalid; the previous jobs stay active")
        edit(repository, "    budgett: 1\n", "")
        edit(repository, "=initcap(name)", "=upper(name)")
        mount(3)
        run.wait_for(r"0 added, 29 changed, 0 removed")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--git", "https://robot:hunter2hunter2@git.example.com/jobs.git#main"), "contains a password"),
        (("--git", "jobs#main", "--watch", "."), "exclude each other"),
        (("--git", "jobs#main", "-f", "../jobs.yaml"), "leads out of"),
        (("--git", "jobs#main", "--poll", "10ms"), "is not a duration"),
        (("--git", "jobs#main", "--poll", "0s"), "shorter than a second"),
        (("--watch", "missing"), "is no folder"),
    ],
)
def test_mistakes_are_refused(arguments: tuple[str, ...], expected: str, deployment: Deployment) -> None:
    deployment.run("serve", *arguments, expect=2)
    assert expected in deployment.shown()
    assert "hunter2" not in deployment.shown()


def test_backup_in_revision_is_refused(repository: Repository, deployment: Deployment) -> None:
    edit(repository, "version: 1", "version: 1\nstate: {backup: {path: ../backups}}")
    state = str(deployment.folder / "state")
    deployment.run("serve", "--once", "--git", f"{repository.folder}#main", "--state", state, expect=2)
    assert "jobs.yaml:2:24" in deployment.shown()
    assert "deleted with their revision" in deployment.shown()
