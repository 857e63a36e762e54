"""The first location of a purpose is remembered, also by simultaneous threads and despite a crash."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from batchsync.errors import UnavailableError
from batchsync.storage.known_locations import KnownLocations


def known(folder: Path, *account: str) -> KnownLocations:
    return KnownLocations(folder, account or ("vendor", "https://api.vendor.example", "key"))


def test_first_location_is_remembered_by_account_and_purpose(tmp_path: Path) -> None:
    assert known(tmp_path).first_seen("upload", "a.example/one") == "a.example/one"
    assert known(tmp_path).first_seen("upload", "a.example/two") == "a.example/one"
    assert known(tmp_path).first_seen("results.csv", "a.example/two") == "a.example/two"
    assert known(tmp_path, "other").first_seen("upload", "a.example/two") == "a.example/two"
    # Values of two keys are not confused with those of one.
    assert known(tmp_path, "ab", "c").first_seen("upload", "1.example") == "1.example"
    assert known(tmp_path, "a", "bc").first_seen("upload", "2.example") == "2.example"


def test_files_are_private_and_complete(tmp_path: Path) -> None:
    known(tmp_path).first_seen("upload", "a.example/one")
    folder = tmp_path / "storage"
    assert folder.stat().st_mode & 0o777 == 0o700
    [file] = folder.iterdir()
    assert file.read_text() == "a.example/one\n"
    assert file.name.endswith("-upload")


def test_simultaneous_threads_agree(tmp_path: Path) -> None:
    found: list[str] = []
    barrier = threading.Barrier(8)

    def ask(number: int) -> None:
        barrier.wait()
        found.append(known(tmp_path).first_seen("upload", f"{number}.example"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(list((tmp_path / "storage").iterdir())) == 1


def test_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert known(tmp_path).first_seen("upload", "a.example") == "a.example"
    assert known(tmp_path).first_seen("upload", "b.example") == "a.example"


def test_disk_error_is_reported(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file")
    with pytest.raises(UnavailableError, match="storage"):
        known(tmp_path).first_seen("upload", "a.example")


def test_rest_of_a_killed_process_is_no_location(tmp_path: Path) -> None:
    known(tmp_path).first_seen("upload", "a.example")
    [file] = (tmp_path / "storage").iterdir()
    file.rename(file.with_name(f".{file.name}-1-2.part"))
    assert known(tmp_path).first_seen("upload", "b.example") == "b.example"
