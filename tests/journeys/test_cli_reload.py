"""`batchsync serve` reloads a changed jobs.yaml; an invalid file leaves the previous jobs active."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.app import App
from batchsync.cli.reload import JobsReloader
from batchsync.errors import BatchsyncError, PermanentError, SpecError, UnavailableError
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import resume, sync
from batchsync.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from batchsync.reconcile.services import SelectedJob
    from kit.deployment import Deployment


CDP = "sitecore-cdp"


class RecordingListener:
    """Listener that records reloads and errors."""

    def __init__(self) -> None:
        self.reloads: list[tuple[list[str], list[str]]] = []
        self.errors: list[BatchsyncError] = []
        self.kept: list[str] = []
        self.secrets = False

    def reloaded(self, active: Sequence[SelectedJob], removed: Sequence[str], *, secrets: bool) -> None:
        self.reloads.append(([context.job.name for context in active], list(removed)))
        self.secrets = secrets

    def failed(self, error: BatchsyncError, *, secrets: bool, job: str = "") -> None:
        self.errors.append(error)
        self.kept.append(job)
        self.secrets = secrets


class ReloadSetup:
    """A jobs.yaml, its reloader with a listener, and an action to run during each pause of the reloader."""

    def __init__(self, app: App, names: Sequence[str] = ()) -> None:
        self.file, self.listener, self.pauses = app.settings.file, RecordingListener(), 0
        self.during_pause: Callable[[], object] = lambda: None
        self.reload = JobsReloader(app, names, self.listener, self._pause)

    def _pause(self, _: timedelta) -> None:
        self.pauses += 1
        self.during_pause()

    def jobs(self) -> list[str]:
        return [item.job.name for item in self.reload()]

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text(encoding="utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def app(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    for name, text in deployment.environ().items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(deployment.folder)
    with App(Settings()) as opened:
        opened.services()
        yield opened


def test_unchanged_jobs_file_is_read_once(app: App) -> None:
    setup = ReloadSetup(app)
    first = setup.reload()
    assert setup.reload() == first
    assert (setup.pauses, setup.listener.reloads) == (0, [])


def test_edit_applies_from_next_pass(app: App) -> None:
    setup = ReloadSetup(app)
    setup.jobs()
    setup.edit("firstName: =initcap(name)", "firstName: =upper(name)")

    guests = setup.reload()[1].job
    assert guests.name == "guests"
    assert "upper(name)" in repr(guests.record)
    assert setup.listener.reloads == [(["vehicles", "guests"], [])]


def test_partly_written_file_is_not_loaded(app: App) -> None:
    setup = ReloadSetup(app)
    setup.jobs()
    complete = setup.file.read_text(encoding="utf-8")
    half = complete[: complete.index("  guests:")]
    setup.file.write_text(half, encoding="utf-8")
    setup.during_pause = lambda: setup.file.write_text(complete.replace("initcap", "upper"), encoding="utf-8")

    assert setup.jobs() == ["vehicles", "guests"]
    assert setup.listener.reloads == [(["vehicles", "guests"], [])]


def test_constantly_changing_file_is_left_for_next_pass(app: App) -> None:
    setup = ReloadSetup(app)
    setup.jobs()
    setup.edit("version: 1", "version: 1 # 0")
    setup.during_pause = lambda: setup.edit("# ", "# 0")

    assert setup.jobs() == ["vehicles", "guests"]
    assert setup.listener.reloads == []
    setup.during_pause = lambda: None
    setup.jobs()
    assert len(setup.listener.reloads) == 1


@pytest.mark.parametrize("text", ["", "jobs: [", "version: 1\n"])
def test_invalid_file_is_reported_once_and_previous_jobs_stay_active(app: App, text: str) -> None:
    setup = ReloadSetup(app)
    before = setup.reload()
    valid = setup.file.read_text(encoding="utf-8")
    setup.file.write_text(text, encoding="utf-8")

    assert setup.reload() == before
    assert setup.reload() == before
    (error,) = setup.listener.errors
    assert isinstance(error, SpecError)
    assert app.deployment.jobs

    setup.file.write_text(valid, encoding="utf-8")
    assert setup.jobs() == ["vehicles", "guests"]
    assert len(setup.listener.reloads) == 1


def test_file_with_missing_source_is_loaded_when_source_exists(app: App) -> None:
    setup = ReloadSetup(app)
    before = setup.reload()
    setup.edit("=initcap(name)", "=initcap(nick)")
    for _ in range(2):
        vehicles, guests = setup.reload()
        assert (vehicles.job, guests) == (before[0].job, before[1])
    assert (setup.listener.kept, setup.listener.reloads, setup.pauses) == (["guests"], [], 1)

    rows = setup.file.with_name("guests.csv")
    rows.write_text(rows.read_text(encoding="utf-8").replace("name", "nick", 1), encoding="utf-8")
    assert setup.jobs() == ["vehicles", "guests"]
    assert (len(setup.listener.errors), len(setup.listener.reloads)) == (1, 1)


def test_source_of_other_job_does_not_block_edit(app: App) -> None:
    setup = ReloadSetup(app)
    setup.jobs()
    rows = setup.file.with_name("vehicles.csv")
    rows.write_text(rows.read_text(encoding="utf-8").replace("vin", "vim", 1), encoding="utf-8")
    setup.edit("=initcap(name)", "=upper(name)")
    assert setup.jobs() == ["vehicles", "guests"]
    setup.edit("  guests:", "  visitors:")

    assert setup.jobs() == ["vehicles", "visitors"]
    assert setup.listener.errors == []


def test_edit_that_does_not_match_its_source_blocks_no_other_edit(app: App) -> None:
    setup = ReloadSetup(app)
    (_, guests) = setup.reload()
    setup.edit("=initcap(name)", "=initcap(nick)")
    setup.edit("=upper(trim(vin))", "=upper(vin)")
    for _ in range(2):
        vehicles, kept = setup.reload()
        assert ("upper(vin)" in repr(vehicles.job.record), kept) == (True, guests)
    assert (setup.listener.kept, len(setup.listener.reloads)) == (["guests"], 1)

    rows = setup.file.with_name("guests.csv")
    rows.write_text(rows.read_text(encoding="utf-8").replace("name", "nick", 1), encoding="utf-8")
    assert "nick" in repr(setup.reload()[1].job.record)
    assert (setup.listener.kept, len(setup.listener.reloads), setup.listener.secrets) == (["guests"], 2, False)


def test_file_changed_during_read_is_loaded_later(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = ReloadSetup(app)
    before, complete = setup.reload(), setup.file.read_text(encoding="utf-8")
    setup.edit("=initcap(name)", "=upper(name)")
    reload = app.reload

    def change_and_reload(*arguments: Any) -> Any:
        setup.file.write_text(complete[: complete.index("  guests:")], encoding="utf-8")
        return reload(*arguments)

    monkeypatch.setattr(app, "reload", change_and_reload)
    assert setup.reload() == before
    assert [job.name for job in app.deployment.jobs] == ["vehicles", "guests"]
    monkeypatch.setattr(app, "reload", reload)
    assert setup.jobs() == ["vehicles"]


def test_huge_file_is_refused_without_reading_it(app: App) -> None:
    setup = ReloadSetup(app)
    setup.jobs()
    os.truncate(setup.file, 1 << 40)

    assert setup.jobs() == ["vehicles", "guests"]
    (error,) = setup.listener.errors
    assert isinstance(error, SpecError)
    assert "larger than" in error.problems[0].message


def test_removed_job_is_followed_while_in_flight(app: App) -> None:
    setup = ReloadSetup(app)
    services = app.services()
    sync(setup.reload(), services, WaitPolicy(wait=False))
    setup.edit("  guests:", "  visitors:")

    assert setup.jobs() == ["vehicles", "visitors", "guests"]
    assert setup.listener.reloads == [(["vehicles", "visitors"], ["guests"])]
    resume([item for item in setup.reload() if item.job.name == "guests"], services, WaitPolicy())
    assert setup.jobs() == ["vehicles", "visitors"]


def test_swapped_link_keeps_state_folder(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in deployment.environ().items():
        monkeypatch.setenv(name, text)
    releases = [deployment.folder / "1", deployment.folder / "2"]
    for release in releases:
        release.mkdir()
        for file in ("jobs.yaml", "guests.csv", "vehicles.csv"):
            shutil.copy(deployment.folder / file, release)
    link = deployment.folder / "current"
    link.symlink_to(releases[0])
    with App(Settings(file=link / "jobs.yaml")) as app:
        setup, services = ReloadSetup(app), app.services()
        setup.jobs()
        link.unlink()
        link.symlink_to(releases[1])
        setup.edit("=initcap(name)", "=upper(name)")
        sync(setup.reload(), services, WaitPolicy())

    assert (releases[0] / ".batchsync").is_dir()
    assert not (releases[1] / ".batchsync").exists()


def test_temporarily_missing_file_keeps_previous_jobs(app: App) -> None:
    setup = ReloadSetup(app)
    before = setup.reload()
    setup.file.rename(setup.file.with_suffix(".old"))

    assert setup.reload() == before
    assert len(setup.listener.errors) == 1
    setup.file.with_suffix(".old").rename(setup.file)
    assert setup.jobs() == ["vehicles", "guests"]


def test_piped_jobs_file_is_read_once(deployment: Deployment) -> None:
    command = f"{sys.executable} -m batchsync --file <(cat jobs.yaml) --state .batchsync serve --once"
    deployment.edit("    on_removed:", "    schedule: {every: 1h}\n    on_removed:")
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


def test_removed_job_is_not_served_even_if_named(app: App) -> None:
    setup = ReloadSetup(app, ["guests"])
    assert setup.jobs() == ["guests"]
    setup.edit("  guests:", "  visitors:")

    assert setup.jobs() == []
    assert setup.listener.reloads == [([], ["guests"])]


def test_changed_file_of_a_query_reloads_the_job(app: App, deployment: Deployment) -> None:
    query = deployment.folder / "guests.sql"
    query.write_text("SELECT id, name, email FROM guests", encoding="utf-8")
    setup = ReloadSetup(app, ["guests"])
    setup.jobs()
    setup.edit("connections:\n", "connections:\n  shop: {database: sqlite, path: shop.db}\n")
    setup.edit("{path: guests.csv, key: id}", "{connection: shop, query: guests.sql, key: id}")
    (before,) = setup.reload()
    query.write_text("SELECT id, name, email FROM guests WHERE id > 1", encoding="utf-8")
    (after,) = setup.reload()
    assert setup.listener.secrets
    assert before.job.source.query is not None
    assert after.job.source.query is not None
    assert after.job.source.query.sql == f"{before.job.source.query.sql} WHERE id > 1"
    query.unlink()
    assert setup.reload() == (after,)
    assert "1 problem in the spec" in setup.listener.errors[-1].message


def test_only_another_relation_in_a_manifest_reloads_the_job(app: App, deployment: Deployment) -> None:
    manifest = deployment.folder / "manifest.json"
    node = {"resource_type": "model", "unique_id": "model.shop.guests", "package_name": "shop", "name": "guests"}

    def write(relation: str, version: str) -> None:
        schema = "https://schemas.getdbt.com/dbt/manifest/v12.json"
        metadata = {"dbt_schema_version": schema, "adapter_type": "sqlite", "dbt_version": version}
        nodes = {node["unique_id"]: node | {"relation_name": relation}}
        manifest.write_text(json.dumps({"metadata": metadata, "nodes": nodes, "sources": {}}), encoding="utf-8")

    write('main."guests"', "1.9.0")
    setup = ReloadSetup(app, ["guests"])
    setup.jobs()
    setup.edit("connections:\n", "connections:\n  shop: {database: sqlite, path: shop.db}\n")
    setup.edit("{path: guests.csv,", "{connection: shop, dbt: {manifest: manifest.json, model: guests},")
    (before,) = setup.reload()
    count = len(setup.listener.reloads)
    write('main."guests"', "1.9.11")
    assert setup.reload() == (before,)
    assert len(setup.listener.reloads) == count
    write('main."others"', "1.9.11")
    (after,) = setup.reload()
    assert after.job.source.query is not None
    assert after.job.source.query.table == ("main", "others")


def test_changed_secret_file_reloads_connections(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = deployment.mocks.credentials(CDP)
    secret = tmp_path / "token"
    secret.write_text("expired", encoding="utf-8")
    for name in [item for item in deployment.environ() if item.startswith("BATCHSYNC")]:
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
        setup = ReloadSetup(app, ["guests"])
        (before,) = setup.reload()
        with pytest.raises(PermanentError, match="401"):
            before.vendor.describe(before.job.target)
        secret.unlink()
        assert setup.reload() == (before,)
        assert isinstance(setup.listener.errors[0], UnavailableError)
        assert setup.listener.secrets
        secret.touch()
        os.truncate(secret, 1 << 40)
        assert setup.reload() == (before,)
        assert "too large" in setup.listener.errors[1].message
        secret.write_text(known["api_token"], encoding="utf-8")
        (now,) = setup.reload()
        now.vendor.describe(now.job.target)
