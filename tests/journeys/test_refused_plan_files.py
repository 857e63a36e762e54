"""Plan files that are damaged, foreign, newer or stale are refused in words, and nothing is sent."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import CDP
from kit.planned import PLAN, edit, sent, stderr, write_guests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kit.deployment import Deployment

#: Compressed size of a bomb of zeros is about a thousandth of this.
_BOMB = 64 << 20


@pytest.fixture
def planned(deployment: Deployment) -> Deployment:
    """A deployment with a plan file of two guests."""
    write_guests(deployment, 1, 2)
    deployment.run("plan", "guests", "--out", PLAN)
    return deployment


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], parts: dict[str, bytes] | None = None) -> None:
    """Rewrite a plan file with another manifest, and with parts replaced; digests are made to fit."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()} | (parts or {})
    manifest = json.loads(content.pop("manifest.json"))
    for name, data in (parts or {}).items():
        manifest["parts"][name] = [len(data), hashlib.sha256(data).hexdigest()]
    change(manifest)
    text = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", text)
        for name, data in content.items():
            archive.writestr(name, data)
        archive.comment = f"batchsync-plan {hashlib.sha256(text).hexdigest()}".encode()


def no_change(_manifest: dict[str, Any]) -> None:
    """Leave the manifest as it is."""


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def newer(path: Path) -> None:
    rewritten(path, lambda manifest: manifest["content"].update(format=2))


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        comment, content = archive.comment, {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", content["manifest.json"], zipfile.ZIP_STORED)
        for name in content:
            if name != "manifest.json":
                archive.writestr(name, bytes(_BOMB))
        archive.comment = comment


def outside(path: Path) -> None:
    def move(manifest: dict[str, Any]) -> None:
        manifest["parts"]["../../escaped.parquet"] = [1, hashlib.sha256(b"x").hexdigest()]

    rewritten(path, move, {"../../escaped.parquet": b"x"})


def foreign_rows(path: Path) -> None:
    rewritten(path, no_change, {"plans/0/pinned.parquet": b"PAR1 no parquet PAR1"})


def other_counts(path: Path) -> None:
    def raise_count(manifest: dict[str, Any]) -> None:
        for name in ("plan", "unguarded"):
            manifest["content"]["plans"][0][name]["counts"] |= {"added": 3, "selected": 3}

    rewritten(path, raise_count)


def incomplete(path: Path) -> None:
    rewritten(path, lambda manifest: manifest["content"]["plans"][0].pop("declared"))


def another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("report.txt", "x")


def no_zip(path: Path) -> None:
    path.write_text("id,name\n1,ann\n", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "is incomplete or damaged"),
    "changed": (flip, "is damaged"),
    "newer format": (newer, "was written by a newer batchsync: it has format 2"),
    "bomb": (bomb, "has parts that are compressed, or larger than the file"),
    "path outside": (outside, "its parts are not those of its manifest"),
    "no Parquet": (foreign_rows, "pinned.parquet cannot be read as Parquet"),
    "other counts": (other_counts, "its rows are not those that it counts"),
    "incomplete manifest": (incomplete, "its manifest is incomplete"),
    "another archive": (another_zip, "is no plan file: it is another ZIP archive"),
    "another file": (no_zip, "is no plan file"),
    "empty": (empty, "is no plan file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_or_foreign_file_is_refused(planned: Deployment, name: str) -> None:
    damage, expected = DAMAGES[name]
    damage(planned.folder / PLAN)

    for command in (["sync", "--plan", PLAN], ["show", PLAN], ["approve", PLAN]):
        planned.run(*command, expect=2)
        assert expected in stderr(planned), command

    assert sent(planned) == []
    assert not (planned.folder.parent / "escaped.parquet").exists()


def test_file_with_rows_of_another_fingerprint_is_refused(planned: Deployment) -> None:
    with zipfile.ZipFile(planned.folder / PLAN) as archive:
        data = archive.read("plans/0/pinned.parquet")
    # The value is stored as it is, without compression, in a file this small.
    changed = data.replace(b"guest1@example.com", b"evil99@example.com")
    if changed == data:
        pytest.fail("the value is not in the file as it is")
    rewritten(planned.folder / PLAN, no_change, {"plans/0/pinned.parquet": changed})

    planned.run("sync", "--plan", PLAN, expect=3)

    assert sent(planned) == []


def test_missing_plan_file_is_named(planned: Deployment) -> None:
    planned.run("sync", "--plan", "other.plan", expect=2)
    assert "there is no plan file other.plan" in stderr(planned)
    planned.run("show", "other.plan", expect=2)
    assert "there is no plan file other.plan" in stderr(planned)


EDITS = {
    "record": ("firstName: =initcap(name)", "firstName: =upper(name)"),
    "path": ("{path: guests.csv, key: id}", "{path: other.csv, key: id}"),
    "condition": ("{path: guests.csv, key: id}", "{path: guests.csv, key: id, where: id <> 'K1'}"),
    "removal": ("    on_removed: delete\n", ""),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_job_makes_the_plan_stale(planned: Deployment, name: str) -> None:
    shutil.copy(planned.folder / "guests.csv", planned.folder / "other.csv")
    edit(planned, *EDITS[name])

    planned.run("sync", "--plan", PLAN, expect=7)

    assert "the job was edited in jobs.yaml" in stderr(planned)
    assert sent(planned) == []
    assert "cannot be applied: guests: the job was edited in jobs.yaml" in planned.run("show", PLAN)


def test_edit_of_schedule_and_budget_does_not_make_the_plan_stale(planned: Deployment) -> None:
    edit(
        planned,
        "    on_removed: delete\n",
        "    on_removed: delete\n    schedule: {every: 1h}\n    compression: smaller\n",
    )
    planned.run("sync", "--plan", PLAN)
    assert len(sent(planned)) == 2


def test_renamed_or_removed_job_makes_the_plan_stale(planned: Deployment) -> None:
    edit(planned, "  guests:\n", "  visitors:\n    renamed_from: guests\n")
    planned.run("sync", "--plan", PLAN, expect=7)
    assert "jobs.yaml has no such job any more" in stderr(planned)
    assert sent(planned) == []


def test_plan_of_another_state_folder_is_refused(planned: Deployment) -> None:
    planned.run("sync", "guests")
    write_guests(planned, 1, 2, 3)
    planned.run("plan", "guests", "--out", PLAN)
    before = sent(planned)
    shutil.rmtree(planned.folder / ".batchsync")
    write_guests(planned, 1, 2)
    edit(planned, "  guests:\n", "  guests:\n    renamed_from: []\n")
    planned.run("sync", "vehicles")

    planned.run("sync", "--plan", PLAN, expect=7)

    assert "it was made for another state folder" in stderr(planned)
    assert sent(planned) == before


def test_plan_of_another_account_is_refused(planned: Deployment) -> None:
    def other_account(manifest: dict[str, Any]) -> None:
        for name in ("plan", "unguarded"):
            manifest["content"]["plans"][0][name]["account_id"] = "other"

    rewritten(planned.folder / PLAN, other_account)

    planned.run("sync", "--plan", PLAN, expect=7)

    assert "the connection or target of the job is another account" in stderr(planned)
    assert sent(planned) == []


def test_forgotten_key_makes_the_plan_stale(planned: Deployment) -> None:
    planned.run("forget", "K1", "--job", "guests", "--reason", "request 7")
    planned.run("sync", "--plan", PLAN, expect=7)
    assert "1 of its 2 keys moved: 1 forgotten or suppressed" in stderr(planned)
    assert sent(planned) == []


def test_other_files_are_not_overwritten_and_plan_files_are(planned: Deployment) -> None:
    planned.run("plan", "guests", "--out", "jobs.yaml", expect=2)
    assert "jobs.yaml exists and is no plan file" in stderr(planned)
    planned.run("plan", "guests", "--out", "missing/guests.plan", expect=2)
    assert "missing is no folder" in stderr(planned)
    planned.run("plan", "guests", "--out", PLAN)


def test_no_file_is_written_unless_all_jobs_can_be_planned(planned: Deployment) -> None:
    (planned.folder / "vehicles.csv").unlink()
    planned.run("plan", "--out", "all.plan", expect=3)
    assert "all.plan was not written: not all jobs could be planned" in stderr(planned)
    assert not (planned.folder / "all.plan").exists()


def test_options_that_choose_other_rows_are_refused(planned: Deployment) -> None:
    planned.run("sync", "--plan", PLAN, "--retry-rejected", expect=2)
    planned.run("plan", "--untrusted", "--out", PLAN, expect=2)
    planned.run("sync", "vehicles", "--plan", PLAN, expect=2)
    assert "has no plan of job" in stderr(planned)
    assert planned.mocks.ledger(CDP) == []
