"""`lading serve` and a jobs.yaml that changes under it: what is merged is what runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lading.app import App
from lading.cli.jobs_now import JobsNow
from lading.errors import EnvironmentProblem, LadingError, Permanent, SpecError
from lading.reconcile.loop import Patience
from lading.reconcile.sync import resume, sync
from lading.settings import Settings
from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from kit.deployment import Deployment
    from lading.reconcile.context import JobContext

CDP = "sitecore-cdp"


class Notes:
    """Who writes down what is told."""

    def __init__(self) -> None:
        self.taken_over: list[tuple[list[str], list[str]]] = []
        self.errors: list[LadingError] = []
        self.secrets = False

    def taken(self, now: Sequence[JobContext], gone: Sequence[str], *, secrets: bool) -> None:
        self.taken_over.append(([one.job.name for one in now], list(gone)))
        self.secrets = secrets

    def refused(self, error: LadingError, *, secrets: bool) -> None:
        self.errors.append(error)
        self.secrets = secrets


class Desk:
    """A jobs.yaml on the disk, somebody who asks for its jobs, and what happens while they wait."""

    def __init__(self, app: App, names: Sequence[str] = ()) -> None:
        self.file, self.notes, self.pauses = app.settings.file, Notes(), 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.now = JobsNow(app, names, self.notes, self._pause)

    def _pause(self, _: timedelta) -> None:
        self.pauses += 1
        self.meanwhile()

    def jobs(self) -> list[str]:
        return [one.job.name for one in self.now()]

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text(encoding="utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def app(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    for name, text in deployment.environ().items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(deployment.folder)
    with App(Settings()) as one:
        one.world()
        yield one


def test_a_file_that_says_the_same_is_read_once(app: App) -> None:
    desk = Desk(app)
    first = desk.now()
    assert desk.now() == first
    assert (desk.pauses, desk.notes.taken_over) == (0, [])


def test_an_edit_counts_from_the_next_pass_on(app: App) -> None:
    desk = Desk(app)
    desk.jobs()
    desk.edit("firstName: =initcap(name)", "firstName: =upper(name)")

    guests = desk.now()[1].job
    assert guests.name == "guests"
    assert "upper(name)" in repr(guests.record)
    assert desk.notes.taken_over == [(["vehicles", "guests"], [])]


def test_half_a_file_is_never_taken_for_a_whole_one(app: App) -> None:
    desk = Desk(app)
    desk.jobs()
    whole = desk.file.read_text(encoding="utf-8")
    half = whole[: whole.index("  guests:")]
    desk.file.write_text(half, encoding="utf-8")
    desk.meanwhile = lambda: desk.file.write_text(whole.replace("initcap", "upper"), encoding="utf-8")

    assert desk.jobs() == ["vehicles", "guests"]
    assert desk.notes.taken_over == [(["vehicles", "guests"], [])]


def test_a_file_that_never_rests_is_left_for_the_next_pass(app: App) -> None:
    desk = Desk(app)
    desk.jobs()
    desk.edit("version: 1", "version: 1 # 0")
    desk.meanwhile = lambda: desk.edit("# ", "# 0")

    assert desk.jobs() == ["vehicles", "guests"]
    assert desk.notes.taken_over == []
    desk.meanwhile = lambda: None
    desk.jobs()
    assert len(desk.notes.taken_over) == 1


@pytest.mark.parametrize("text", ["", "jobs: [", "version: 1\n"])
def test_a_broken_file_is_told_once_and_the_jobs_of_before_go_on(app: App, text: str) -> None:
    desk = Desk(app)
    before = desk.now()
    good = desk.file.read_text(encoding="utf-8")
    desk.file.write_text(text, encoding="utf-8")

    assert desk.now() == before
    assert desk.now() == before
    (error,) = desk.notes.errors
    assert isinstance(error, SpecError)
    assert app.deployment.jobs

    desk.file.write_text(good, encoding="utf-8")
    assert desk.jobs() == ["vehicles", "guests"]
    assert len(desk.notes.taken_over) == 1


def test_a_file_that_was_merged_before_its_data_is_taken_when_they_come(app: App) -> None:
    desk = Desk(app)
    before = desk.now()
    desk.edit("=initcap(name)", "=initcap(nick)")
    assert desk.now() == before
    assert desk.now() == before
    assert (len(desk.notes.errors), desk.pauses) == (1, 1)

    rows = desk.file.with_name("guests.csv")
    rows.write_text(rows.read_text(encoding="utf-8").replace("name", "nick", 1), encoding="utf-8")
    assert desk.jobs() == ["vehicles", "guests"]
    assert (len(desk.notes.errors), len(desk.notes.taken_over)) == (1, 1)


def test_the_source_of_one_job_keeps_no_edit_of_another_from_counting(app: App) -> None:
    desk = Desk(app)
    desk.jobs()
    rows = desk.file.with_name("vehicles.csv")
    rows.write_text(rows.read_text(encoding="utf-8").replace("vin", "vim", 1), encoding="utf-8")
    desk.edit("=initcap(name)", "=upper(name)")
    assert desk.jobs() == ["vehicles", "guests"]
    desk.edit("  guests:", "  visitors:")

    assert desk.jobs() == ["vehicles", "visitors"]
    assert desk.notes.errors == []


def test_a_file_that_changes_while_it_is_read_counts_later(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(app)
    before, whole = desk.now(), desk.file.read_text(encoding="utf-8")
    desk.edit("=initcap(name)", "=upper(name)")
    read = app.declared_anew

    def slowly(*given: Any) -> Any:
        desk.file.write_text(whole[: whole.index("  guests:")], encoding="utf-8")
        return read(*given)

    monkeypatch.setattr(app, "declared_anew", slowly)
    assert desk.now() == before
    assert [one.name for one in app.deployment.jobs] == ["vehicles", "guests"]
    monkeypatch.setattr(app, "declared_anew", read)
    assert desk.jobs() == ["vehicles"]


def test_a_huge_file_is_refused_and_costs_no_memory(app: App) -> None:
    desk = Desk(app)
    desk.jobs()
    os.truncate(desk.file, 1 << 40)

    assert desk.jobs() == ["vehicles", "guests"]
    (error,) = desk.notes.errors
    assert isinstance(error, SpecError)
    assert "larger than" in error.problems[0].message


def test_a_job_that_is_taken_out_is_followed_until_nothing_of_it_is_in_flight(app: App) -> None:
    desk = Desk(app)
    world = app.world()
    sync(desk.now(), world, Patience(wait=False))
    desk.edit("  guests:", "  visitors:")

    assert desk.jobs() == ["vehicles", "visitors", "guests"]
    assert desk.notes.taken_over == [(["vehicles", "visitors"], ["guests"])]
    resume([one for one in desk.now() if one.job.name == "guests"], world, Patience())
    assert desk.jobs() == ["vehicles", "visitors"]


def test_a_link_that_is_swapped_moves_no_memory(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in deployment.environ().items():
        monkeypatch.setenv(name, text)
    releases = [deployment.folder / "1", deployment.folder / "2"]
    for one in releases:
        one.mkdir()
        for file in ("jobs.yaml", "guests.csv", "vehicles.csv"):
            shutil.copy(deployment.folder / file, one)
    link = deployment.folder / "current"
    link.symlink_to(releases[0])
    with App(Settings(file=link / "jobs.yaml")) as app:
        desk, world = Desk(app), app.world()
        desk.jobs()
        link.unlink()
        link.symlink_to(releases[1])
        desk.edit("=initcap(name)", "=upper(name)")
        sync(desk.now(), world, Patience())

    assert (releases[0] / ".lading").is_dir()
    assert not (releases[1] / ".lading").exists()


def test_a_file_that_is_gone_for_a_while_stops_nothing(app: App) -> None:
    desk = Desk(app)
    before = desk.now()
    desk.file.rename(desk.file.with_suffix(".old"))

    assert desk.now() == before
    assert len(desk.notes.errors) == 1
    desk.file.with_suffix(".old").rename(desk.file)
    assert desk.jobs() == ["vehicles", "guests"]


def test_a_file_that_comes_through_a_pipe_is_read_once(deployment: Deployment) -> None:
    command = f"{sys.executable} -m lading --file <(cat jobs.yaml) --state .lading serve --once"
    hourly(deployment.folder / "jobs.yaml")
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=deployment.folder,
        env=deployment.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nothing is due")


def test_a_job_that_is_declared_no_more_is_served_no_more_though_it_was_named(app: App) -> None:
    desk = Desk(app, ["guests"])
    assert desk.jobs() == ["guests"]
    desk.edit("  guests:", "  visitors:")

    assert desk.jobs() == []
    assert desk.notes.taken_over == [([], ["guests"])]


def test_a_secret_file_that_is_another_one_makes_the_connections_anew(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = deployment.mocks.credentials(CDP)
    secret = tmp_path / "token"
    secret.write_text("of yesterday", encoding="utf-8")
    for name in [one for one in deployment.environ() if one.startswith("LADING")]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SITECORE_CLIENT_KEY", known["client_key"])
    monkeypatch.setenv("MOTORWEB_CLIENT_ID", "a")
    monkeypatch.setenv("MOTORWEB_CLIENT_SECRET", "b")
    monkeypatch.chdir(deployment.folder)
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace("${SITECORE_API_TOKEN}", f"${{file:{secret}}}")
    file.write_text(
        text.replace("https://api-engage-eu.sitecorecloud.io", deployment.mocks.urls[CDP]), encoding="utf-8"
    )

    with App(Settings()) as app:
        desk = Desk(app, ["guests"])
        (before,) = desk.now()
        with pytest.raises(Permanent, match="401"):
            before.vendor.describe(before.job.target)
        secret.unlink()
        assert desk.now() == (before,)
        assert isinstance(desk.notes.errors[0], EnvironmentProblem)
        assert desk.notes.secrets
        secret.touch()
        os.truncate(secret, 1 << 40)
        assert desk.now() == (before,)
        assert "too large" in desk.notes.errors[1].message
        secret.write_text(known["api_token"], encoding="utf-8")
        (now,) = desk.now()
        now.vendor.describe(now.job.target)


@contextmanager
def serving(deployment: Deployment, *more: str) -> Iterator[Callable[[str], str]]:
    """Serve in a process of its own; give a way to wait for words in what it says."""
    log = deployment.folder / "served.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            deployment.command("serve", *more), cwd=deployment.folder, env=deployment.environ(), stdout=out, stderr=out
        )

    def said(pattern: str) -> str:
        deadline = time.monotonic() + 60
        while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.02)
        return found[0]

    try:
        yield said
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def hourly(file: Path) -> str:
    """Give the job guests a schedule, and return the text."""
    text = file.read_text(encoding="utf-8").replace("    on_removed:", "    schedule: {every: 1h}\n    on_removed:")
    file.write_text(text, encoding="utf-8")
    return text


def test_what_is_merged_is_what_runs(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    good = hourly(file)
    with serving(deployment) as said:
        said(r"guests: settled")
        file.write_text(good.replace("=lower(email)", "=lowr(email)"), encoding="utf-8")
        assert "lowr" in said(r"jobs\.yaml:\d+:\d+[^\0]*has changed and cannot be used; the jobs of before go on")
        file.write_text(good.replace("=initcap(name)", "=upper(name)"), encoding="utf-8")
        said(r"has changed; served from here on: vehicles, guests")
        said(r"0 added, [1-9]\d* changed, 0 removed")

    held = {one["ref"]: one["value"]["firstName"] for one in deployment.mocks.ledger(CDP, values=True)}
    assert held
    assert {name for name in held.values() if name != name.upper()} == set()


def test_programs_hear_of_another_file_in_lines(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    good = hourly(file)
    with serving(deployment, "-o", "ndjson", "--quiet") as said:
        said(r'"event": ?"waiting"')
        file.write_text("jobs: [", encoding="utf-8")
        refused = json.loads(said(r'\{"event": ?"jobs_refused".*\n'))
        assert refused["error"]["problems"][0]["file"] == "jobs.yaml"
        file.write_text(good, encoding="utf-8")
        taken = json.loads(said(r'\{"event": ?"jobs_taken".*\n'))
        assert (taken["jobs"], taken["gone"]) == (["vehicles", "guests"], [])


def test_an_edit_in_the_middle_of_a_single_pass_ends_it_in_order(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    good = hourly(file)
    deployment.run("serve", "--once")
    deployment.mocks.advance(2 * 3600)
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=0.5))
    with subprocess.Popen(
        deployment.command("serve", "--once"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(one["struck"] for one in deployment.mocks.faults()):
            assert process.poll() is None
            time.sleep(0.01)
        file.write_text(good.replace("schedule: {every: 1h}", "compression: smaller"), encoding="utf-8")
        out, err = process.communicate(timeout=60)

    assert process.returncode == 5, err
    assert out.startswith("guests: in flight")
    assert "none of them has a schedule, so nothing will be run" in err
