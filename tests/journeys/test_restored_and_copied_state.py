"""A state folder that was restored from a backup, or copied and used twice, is refused before anything is sent."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync.journal import Journal
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment

REASON = "--reason=the disk broke; restored from the backup of Monday"
ASSUME = ["state", "assume-delivered", "guests", "--reason=nothing was edited"]


@pytest.fixture
def anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of anchors of the commands of this test."""
    folder = tmp_path / "home" / "anchors"
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(folder))
    return folder


@pytest.fixture
def used(deployment: Deployment, anchors: Path) -> Deployment:
    """Return a deployment with a backup of its state, after which one more change was delivered."""
    deployment.run("sync")
    shutil.copytree(state(deployment), deployment.folder / "backup")
    deployment.edit("guest 2,", "guest two,", "guests.csv")
    deployment.run("sync", "guests")
    deployment.edit("guest 3,", "guest three,", "guests.csv")
    assert [path.stat().st_mode & 0o777 for path in (anchors, *anchors.iterdir())] == [0o700, 0o600]
    return deployment


def state(deployment: Deployment) -> Path:
    return deployment.folder / ".batchsync"


def log(deployment: Deployment) -> str:
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def restore(deployment: Deployment) -> None:
    shutil.rmtree(state(deployment))
    shutil.copytree(deployment.folder / "backup", state(deployment))


def refused(deployment: Deployment, *command: str) -> str:
    """Run a command that must end with exit 3 and send nothing; return its output."""
    before = {vendor: deployment.delivered(vendor) for vendor in (BDP, CDP)}
    deployment.run(*command, expect=3)
    assert {vendor: deployment.delivered(vendor) for vendor in (BDP, CDP)} == before
    assert "state accept --reason TEXT`" in log(deployment)
    return log(deployment)


def test_restored_state_is_refused_by_every_command_that_writes(used: Deployment) -> None:
    jobs = used.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text(encoding="utf-8") + "    schedule: {every: 1h}\n", encoding="utf-8")
    restore(used)

    for command in (["sync"], ["sync", "guests", "--no-wait"], ["resume"], ["serve", "--once"], ASSUME):
        assert "is older than it was: it has" in refused(used, *command), command


def test_commands_that_only_read_work_with_a_restored_state(used: Deployment) -> None:
    restore(used)

    for command in ("plan", "status", "history", "validate"):
        used.run(command)


def test_accepted_state_goes_on_and_asks_the_vendor(used: Deployment) -> None:
    """The source is as at the last delivery: the file is found at the vendor by its name."""
    used.edit("guest three,", "guest 3,", "guests.csv")
    before = used.delivered(CDP)
    restore(used)
    refused(used, "sync", "guests")

    assert "is refused from now on" in used.run("state", "accept", REASON)

    used.run("sync", "guests")
    assert used.delivered(CDP) == before
    with Journal.open(state(used) / "mocks", read_only=True) as journal:
        (accepted,) = journal.acceptances()
        assert accepted.reason == "the disk broke; restored from the backup of Monday"
        assert accepted.serial < accepted.newest
        assert journal.audit() == ()
    for form in ([], ["--output", "md"]):
        assert "because: the disk broke; restored from the backup of Monday" in used.run(*form, "history")
    (shown,) = used.json("history")["acceptances"]
    assert (shown["transactions"], shown["newest"], shown["reason"]) == (
        accepted.serial,
        accepted.newest,
        accepted.reason,
    )


def test_batch_that_a_lost_batch_may_have_followed_is_unknown(used: Deployment) -> None:
    """Two runs are lost; the source is as after the first of them, while the target holds what the second one sent."""
    used.edit("guest three,", "guest 3,", "guests.csv")
    used.edit("guest two,", "guest deux,", "guests.csv")
    used.run("sync", "guests")
    before = used.delivered(CDP)
    used.edit("guest deux,", "guest two,", "guests.csv")
    restore(used)
    used.run("state", "accept", REASON)

    used.run("sync", "guests", expect=8)

    assert used.delivered(CDP) == before
    (batch,) = {item["batch"] for item in used.json("rejects", "guests")["rejects"] if item["kind"] == "unknown"}
    assert "a later batch that it lacks may have replaced" in used.run("rejects", "guests")
    used.run("collect", batch, expect=8)
    used.run("resolve", batch, "--resend", "--reason=the target was looked at")
    used.run("sync", "guests")
    assert used.delivered(CDP) - before
    assert "guests: (nothing to send)" in used.run("plan", "guests")


def test_acceptance_holds_for_one_copy_only(used: Deployment) -> None:
    """The newer copy comes back after the older one was accepted: it is the one that is refused then."""
    newer = used.folder / "newer"
    shutil.copytree(state(used), newer)
    restore(used)
    used.run("state", "accept", REASON)

    shutil.rmtree(state(used))
    newer.rename(state(used))

    assert "not those that were committed" in refused(used, "sync", "guests")


def test_copy_that_was_used_without_anchors_is_refused(used: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy was used where there was no anchor, for longer than the original, and then put in its place."""
    copy = used.folder / "copy"
    (used.folder / "backup").rename(copy)
    original = state(used).rename(used.folder / "original")
    copy.rename(state(used))
    monkeypatch.setenv("BATCHSYNC_ANCHORS", "off")
    for number in range(4, 9):
        used.edit(f"guest {number},", f"guest number {number},", "guests.csv")
        used.run("sync", "guests")
    monkeypatch.undo()
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(used.folder / "home" / "anchors"))
    shutil.rmtree(original)

    assert "not those that were committed" in refused(used, "sync", "guests")


@pytest.mark.parametrize("first", ["the copy", "the original"])
def test_copy_and_original_are_not_both_used(used: Deployment, first: str) -> None:
    """Whichever is used first goes on; the other is refused, and its error names the one in use."""
    copy = used.folder / "copy"
    shutil.copytree(state(used), copy)
    copied, original = ["--state", str(copy)], ["--state", str(state(used))]
    one, other = (copied, original) if first == "the copy" else (original, copied)
    used.run(*one, "sync", "guests")
    used.edit("guest 4,", "guest four,", "guests.csv")

    assert f"is a copy of the state in {one[1]}/mocks, which was used since" in refused(used, *other, "sync", "guests")
    used.run(*one, "sync", "guests")

    used.edit("guest 5,", "guest five,", "guests.csv")
    used.run(*other, "state", "accept", REASON)
    assert f"is a copy of the state in {other[1]}/mocks" in refused(used, *one, "sync", "guests")
    used.run(*other, "sync", "guests")


def test_moved_state_is_no_copy(used: Deployment) -> None:
    moved = state(used).rename(used.folder / "moved")

    for _ in range(2):
        used.run("--state", str(moved), "sync", "guests")


def test_state_reached_by_another_path_is_no_copy(used: Deployment) -> None:
    link = used.folder / "link"
    link.symlink_to(used.folder)

    used.run("--state", str(link / ".batchsync"), "sync", "guests")
    used.run("sync", "guests")


def test_state_that_lost_its_journal_file_only_is_refused(used: Deployment) -> None:
    """The watermark inside the folder is restored with it, the journal's files are those of the backup."""
    for file in (state(used) / "mocks").glob("journal.*"):
        file.unlink()
    for file in (used.folder / "backup" / "mocks").glob("journal.*"):
        shutil.copy(file, state(used) / "mocks")

    assert "is older than it was" in refused(used, "sync", "guests")


@pytest.mark.parametrize("obstacle", ["a file", "a folder", "nonsense", "empty", "off", "no place"])
def test_missing_or_unusable_anchor_is_no_error(
    used: Deployment, anchors: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    (anchor,) = anchors.iterdir()
    match obstacle:
        case "a file":
            shutil.rmtree(anchors)
            anchors.write_text("in the way")
        case "a folder":
            anchor.unlink()
            anchor.mkdir()
        case "nonsense":
            anchor.write_bytes(b"\xff{nonsense")
        case "empty":
            anchor.write_bytes(b"")
        case "off":
            monkeypatch.setenv("BATCHSYNC_ANCHORS", "off")
        case _:
            monkeypatch.setenv("BATCHSYNC_ANCHORS", "/proc/batchsync/anchors")
    restore(used)

    used.run("sync", "guests")

    if obstacle in ("nonsense", "empty"):
        assert json.loads(anchor.read_bytes())["folder"] == str(state(used) / "mocks")


def test_state_without_a_mark_to_compare_is_not_accepted(used: Deployment) -> None:
    used.run("state", "accept", REASON, expect=2)
    assert "is not known to be restored or copied" in log(used)
    used.run("state", "accept", "--reason= ", expect=2)
    used.run("--state", "elsewhere", "state", "accept", REASON, expect=2)
    assert not (used.folder / "elsewhere").exists()


def test_journals_of_two_deployments_have_anchors_of_their_own(used: Deployment, anchors: Path) -> None:
    used.run("--state", str(used.folder / "second"), "state", "init")
    used.run("--state", str(used.folder / "second"), "resume")
    used.run("sync", "guests")

    assert len(list(anchors.iterdir())) == 2


def test_journal_of_an_earlier_version_gets_an_id(deployment: Deployment, anchors: Path) -> None:
    Journal.open(state(deployment) / "mocks").close()

    deployment.run("sync", "guests")

    with Journal.open(state(deployment) / "mocks", read_only=True) as journal:
        assert [path.name for path in anchors.iterdir()] == [journal.journal_id]
        assert journal.journal_id


def test_mocks_that_end_with_the_command_have_no_anchor(
    deployment: Deployment, anchors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deployment.folder)
    for name in set(os.environ) - {"BATCHSYNC_ANCHORS"}:
        if name.startswith("BATCHSYNC_"):
            monkeypatch.delenv(name)

    assert CliRunner().invoke(main, ["sync", "guests", "--mocks"]).exit_code == 0

    assert not anchors.exists()


def test_folder_of_anchors_follows_the_base_directory_specification(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATCHSYNC_ANCHORS")
    monkeypatch.setenv("XDG_STATE_HOME", str(deployment.folder / "xdg"))
    deployment.run("resume")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(deployment.folder / "home"))
    deployment.run("resume", "vehicles")
    deployment.edit("guest 2,", "guest two,", "guests.csv")
    deployment.run("sync", "guests")

    for folder in ("xdg/batchsync/anchors", "home/.local/state/batchsync/anchors"):
        assert len(list((deployment.folder / folder).iterdir())) == 1, folder
