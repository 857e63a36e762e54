"""A folder that others replace is copied as a whole, or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from batchsync.deployments import watched_folder
from batchsync.deployments.watched_folder import WatchedFolder
from batchsync.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "config"
    (made / "jobs").mkdir(parents=True)
    (made / "jobs.yaml").write_text("version: 1\n", encoding="utf-8")
    (made / "jobs" / "more.yaml").write_text("version: 1\n", encoding="utf-8")
    return made


def export(folder: Path, work: Path) -> dict[str, str]:
    """Return the names and texts of the files of an export."""
    work.mkdir()
    digest, tree = WatchedFolder.of(folder).export(work)
    assert digest == WatchedFolder.of(folder).newest()
    files = [path for path in tree.rglob("*") if path.is_file() or path.is_symlink()]
    return {str(path.relative_to(tree)): path.read_text(encoding="utf-8") for path in files}


def mount(folder: Path, name: str, text: str) -> None:
    """Replace the contents of a folder as a mounted ConfigMap is replaced."""
    (folder / name).mkdir()
    (folder / name / "jobs.yaml").write_text(text, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not (folder / "jobs.yaml").is_symlink():
        (folder / "jobs.yaml").symlink_to("..data/jobs.yaml")


def test_digest_changes_with_names_and_contents_only(folder: Path) -> None:
    watched = WatchedFolder.of(folder)
    first = watched.newest()
    os.utime(folder / "jobs.yaml", (1, 1))
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("x", encoding="utf-8")
    (folder / ".batchsync").mkdir()
    assert watched.newest() == first
    (folder / "jobs" / "more.yaml").rename(folder / "jobs" / "other.yaml")
    assert watched.newest() != first


def test_config_map_is_copied_without_its_links(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount(folder, "..2026_01", "first\n")
    first = WatchedFolder.of(folder).newest()
    mount(folder, "..2026_02", "second\n")
    assert WatchedFolder.of(folder).newest() != first
    assert export(folder, tmp_path / "work") == {"jobs.yaml": "second\n"}


def test_switched_link_to_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "jobs.yaml").write_text("other\n", encoding="utf-8")
    watched = WatchedFolder.of(current)
    first = watched.newest()
    current.unlink()
    current.symlink_to(other)
    assert watched.newest() != first


def test_link_out_of_folder_stays_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n", encoding="utf-8")
    (folder / "rows.csv").symlink_to("../rows.csv")
    assert export(folder, tmp_path / "work")["rows.csv"] == "a\n"
    assert (tmp_path / "work" / "tree" / "rows.csv").readlink() == tmp_path / "rows.csv"


def test_folder_that_changes_while_it_is_copied_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = watched_folder.shutil.copyfile

    def changing(source: Path, target: Path) -> None:
        copy(source, target)
        (folder / "jobs.yaml").write_text("version: 2\n", encoding="utf-8")

    monkeypatch.setattr(watched_folder.shutil, "copyfile", changing)
    with pytest.raises(UnavailableError, match="is being changed"):
        export(folder, tmp_path / "work")


def test_link_that_leads_back_is_refused(folder: Path) -> None:
    (folder / "jobs" / "again").symlink_to(folder)
    with pytest.raises(UnavailableError, match="nested too deeply"):
        WatchedFolder.of(folder).newest()


def test_pipe_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UnavailableError, match="pipe is no regular file"):
        WatchedFolder.of(folder).newest()


def test_too_large_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_folder, "BYTES_MAX", 15)
    with pytest.raises(UnavailableError, match="is not followed"):
        WatchedFolder.of(folder).newest()


def test_missing_folder_is_refused_at_start_and_reported_later(folder: Path) -> None:
    watched = WatchedFolder.of(folder)
    folder.rename(folder.with_name("gone"))
    with pytest.raises(UnavailableError, match="cannot be read"):
        watched.newest()
    with pytest.raises(UsageError):
        WatchedFolder.of(folder)
