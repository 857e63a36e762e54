"""`state: {backup: ...}`, `batchsync state backup` and `state restore`, run as commands."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import CDP
from kit.s3_server import KEY_ID, SECRET, S3Server

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment
    from kit.forward_proxy import NamedDeployment

REASON = "--reason=the disk broke; no newer backup exists"


@pytest.fixture(autouse=True)
def anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "anchors"
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(folder))
    return folder


@pytest.fixture
def backed_up(deployment: Deployment) -> Deployment:
    """Return a deployment that backs up its state, after its first run."""
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text() + "state: {backup: {path: ../unused-with-mocks}}\n", encoding="utf-8")
    deployment.run("sync", "guests")
    return deployment


def state(deployment: Deployment) -> Path:
    return deployment.folder / ".batchsync" / "mocks"


def place(deployment: Deployment) -> Path:
    """Return the folder of backups of runs against mocks."""
    return deployment.folder / ".batchsync" / "mocks-backups"


def log_of(deployment: Deployment) -> str:
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def listed(deployment: Deployment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment.json("state", "restore", "--list")["snapshots"]
    return found


def change(deployment: Deployment, number: int) -> None:
    guests = deployment.folder / "guests.csv"
    guests.write_text(guests.read_text().replace(f"guest {number},", f"changed {number},"), encoding="utf-8")
    deployment.run("sync", "guests")


def test_each_settlement_is_backed_up_and_unchanged_files_are_written_once(backed_up: Deployment) -> None:
    (first,) = listed(backed_up)
    segments = {path.name for path in (state(backed_up) / "baselines" / "guests").iterdir()}
    manifest = json.loads(next(place(backed_up).glob("snapshots/*/*.json")).read_text())
    assert {key.rpartition("/")[2] for key in manifest["contents"] if key.startswith("baselines/")} == segments
    change(backed_up, 3)
    newest, oldest = listed(backed_up)
    assert oldest == first
    assert newest["transactions"] > first["transactions"]
    inodes = {path.name: path.stat().st_ino for path in place(backed_up).glob("objects/*/*")}
    backed_up.run("state", "backup")
    assert {path.name: path.stat().st_ino for path in place(backed_up).glob("objects/*/*")} == inodes
    assert [path.stat().st_mode & 0o077 for path in place(backed_up).rglob("*") if path.is_file()] == [0] * (
        len(inodes) + 2
    )
    assert "transactions" in backed_up.run("state", "restore", "--list")


def test_lost_state_is_restored_and_nothing_is_sent_again(backed_up: Deployment) -> None:
    sent = backed_up.delivered(CDP)
    shutil.rmtree(state(backed_up))
    restored = backed_up.json("state", "restore")
    assert (restored["before"], restored["accepted"]) == (None, None)
    assert backed_up.json("plan", "guests")["to_send"] == 0
    backed_up.run("sync", "guests")
    assert backed_up.delivered(CDP) == sent


def test_older_snapshot_is_restored_with_a_reason_only(backed_up: Deployment) -> None:
    (first,) = listed(backed_up)
    change(backed_up, 3)
    shutil.rmtree(state(backed_up))
    older = ("state", "restore", "--snapshot", str(first["transactions"]))
    backed_up.run(*older, expect=2)
    assert "transactions were committed since the snapshot" in log_of(backed_up)
    assert not (state(backed_up) / "journal.db").exists()
    restored = backed_up.json(*older, REASON)
    assert "would be sent again" in restored["accepted"]
    assert backed_up.json("plan", "guests")["to_send"] == 1
    assert "restored from a backup" in backed_up.json("history")["acceptances"][0]["reason"]


def test_newer_state_is_not_overwritten_and_is_kept_as_a_snapshot(backed_up: Deployment) -> None:
    (first,) = listed(backed_up)
    change(backed_up, 3)
    older = ("state", "restore", "--snapshot", str(first["transactions"]))
    backed_up.run(*older, expect=2)
    assert "the state folder is newer by" in log_of(backed_up)
    assert backed_up.json("plan", "guests")["to_send"] == 0
    before = backed_up.json(*older, REASON)["before"]
    assert before["transactions"] > first["transactions"]
    assert backed_up.json("plan", "guests")["to_send"] == 1
    backed_up.json("state", "restore", "--snapshot", str(before["transactions"]), REASON)
    assert backed_up.json("plan", "guests")["to_send"] == 0


def test_damaged_backup_is_refused_and_the_state_stays(backed_up: Deployment) -> None:
    change(backed_up, 3)
    for path in place(backed_up).glob("objects/*/*"):
        path.write_bytes(b"damaged")
    backed_up.run("state", "restore", expect=3)
    assert "is damaged; nothing was restored" in log_of(backed_up)
    assert backed_up.json("plan", "guests")["to_send"] == 0
    shutil.rmtree(place(backed_up) / "objects")
    backed_up.run("state", "restore", expect=3)
    for path in place(backed_up).glob("snapshots/*/*.json"):
        path.write_text("{}")
    backed_up.run("state", "restore", expect=2)
    assert "has no snapshot" in log_of(backed_up)


def test_failed_backup_fails_no_sync_and_needs_attention(backed_up: Deployment) -> None:
    shutil.rmtree(place(backed_up))
    place(backed_up).write_text("no folder")
    change(backed_up, 3)
    backed_up.run("status", expect=8)
    assert "the state folder was not backed up" in log_of(backed_up)
    place(backed_up).unlink()
    change(backed_up, 4)
    backed_up.run("status")
    assert len(listed(backed_up)) == 1


def test_open_batch_is_in_the_backup_and_is_delivered_once_after_a_restore(backed_up: Deployment) -> None:
    guests = backed_up.folder / "guests.csv"
    guests.write_text(guests.read_text().replace("guest 3,", "changed 3,"), encoding="utf-8")
    backed_up.run("sync", "guests", "--no-wait", expect=5)
    shutil.rmtree(state(backed_up))
    backed_up.json("state", "restore")
    backed_up.run("resume")
    assert max(backed_up.delivered(CDP).values()) == 1
    assert backed_up.json("plan", "guests")["to_send"] == 0


@pytest.mark.parametrize("seen", ["objects", "snapshots"])
def test_backup_that_is_killed_leaves_a_usable_backup_and_state(backed_up: Deployment, seen: str) -> None:
    change(backed_up, 3)
    shutil.rmtree(place(backed_up))
    backed_up.kill_when((place(backed_up) / seen).is_dir, "state", "backup")
    backed_up.run("state", "backup")
    assert len(listed(backed_up)) == 1
    shutil.rmtree(state(backed_up))
    backed_up.run("state", "restore")
    assert backed_up.json("plan", "guests")["to_send"] == 0


def test_storage_holds_the_backup(named: NamedDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    with S3Server() as s3:
        named.connect()
        references = {"access_key_id": "${LAKE_KEY_ID}", "secret_access_key": "${LAKE_SECRET}"}
        lake = {"storage": "s3", "bucket": "exports", "endpoint": s3.url, "credentials": references}
        jobs = named.folder / "jobs.yaml"
        text = jobs.read_text(encoding="utf-8").replace("jobs:\n", f"  lake: {json.dumps(lake)}\njobs:\n")
        jobs.write_text(text + "state: {backup: {connection: lake, path: backups/a}}\n", encoding="utf-8")
        named.run("sync", "guests")
        assert any(name.startswith("backups/a/snapshots/") for name in s3.objects)
        shutil.rmtree(named.folder / ".batchsync")
        named.run("state", "restore")
        assert named.json("plan", "guests")["to_send"] == 0
        named.run("sync", "guests")
        assert max(named.delivered(CDP).values()) == 1


@pytest.mark.parametrize("step", ["unlink", "replace"])
def test_restore_that_is_killed_leaves_a_usable_state(backed_up: Deployment, step: str) -> None:
    (first,) = listed(backed_up)
    change(backed_up, 3)
    script = backed_up.folder / "sitecustomize.py"
    name = {"unlink": "pathlib.Path.unlink", "replace": "os.replace"}[step]
    script.write_text(
        "import os, pathlib\n"
        f"real = {name}\n"
        "def dying(*args, **more):\n"
        "    if 'journal.' in str(args[-1]):\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return real(*args, **more)\n"
        f"{name} = dying\n"
    )
    older = ("state", "restore", "--snapshot", str(first["transactions"]), REASON)
    environ = backed_up.environ() | {"PYTHONPATH": str(backed_up.folder)}
    killed = subprocess.run(backed_up.command(*older), cwd=backed_up.folder, env=environ, check=False)
    assert killed.returncode == -9
    script.unlink()
    assert backed_up.json("plan", "guests")["to_send"] == 0
    backed_up.json(*older)
    assert backed_up.json("plan", "guests")["to_send"] == 1


def test_place_of_backups_is_checked(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    deployment.run("state", "backup", expect=2)
    assert "names no place of backups" in log_of(deployment)
    deployment.run("state", "backup", "--to", ".batchsync/mocks/backup", expect=2)
    deployment.run("state", "backup", "--to", "elsewhere")
    shutil.rmtree(state(deployment))
    deployment.run("state", "restore", "--from", "elsewhere")
    assert deployment.json("plan", "guests")["to_send"] == 0
    jobs = deployment.folder / "jobs.yaml"
    for backup in ("{path: a, connection: sitecore}", "{path: s3://b/a}", "{connection: lake}", "{path: [a]}"):
        text = jobs.read_text()
        jobs.write_text(f"{text}state: {{backup: {backup}}}\n")
        deployment.run("validate", expect=2)
        jobs.write_text(text)


def test_backup_of_one_environment_is_not_restored_for_another(deployment: Deployment) -> None:
    jobs = deployment.folder / "jobs.yaml"
    backup = "state: {backup: {path: ../unused-with-mocks}}\nenvironments: {prod: {}, trial: {}}\n"
    jobs.write_text(jobs.read_text() + backup, encoding="utf-8")
    deployment.run("--env", "prod", "sync", "guests")
    shutil.rmtree(state(deployment))
    deployment.run("--env", "trial", "state", "restore", REASON, expect=3)
    assert "the snapshot is of another environment" in log_of(deployment)
    deployment.run("--env", "prod", "state", "restore", REASON)
    assert (state(deployment) / "environment").read_text() == "prod\n"
    assert "unchanged" in deployment.run("--env", "prod", "sync", "guests")
