"""Helpers of `batchsync.util`: fsync of folders, error translation, gzip detection, durations, suggestions."""

from __future__ import annotations

import errno
import gzip
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import UnavailableError
from batchsync.util.durations import parse_duration
from batchsync.util.files import fsync_and_rename, fsync_folder, sha256_of, sha256_of_file, translate_os_errors
from batchsync.util.gzip_reader import DAMAGED, iter_decompressed
from batchsync.util.suggestions import closest, nearest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("code", "is_raised"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_folder_fsync_fails_only_on_real_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_raised: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    if is_raised:
        with pytest.raises(OSError, match=os.strerror(code)):
            fsync_folder(tmp_path)
    else:
        fsync_folder(tmp_path)


def test_renamed_file_replaces_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "final").write_bytes(b"old")
    (tmp_path / "partial").write_bytes(b"new")
    fsync_and_rename(tmp_path / "partial", tmp_path / "final")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("final", b"new")]
    assert sha256_of_file(tmp_path / "final") == sha256_of(b"new")


def test_os_error_becomes_unavailable_error_with_hint(tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError, match=r"^the list cannot be read: No such file or directory$") as caught,
        translate_os_errors("the list cannot be read", hint="create it"),
    ):
        (tmp_path / "missing").read_text()
    assert caught.value.hint == "create it"


def test_gzip_is_detected_by_content_and_decompressed_in_chunks(tmp_path: Path) -> None:
    text = b"0123456789" * 3
    for name, data in (("plain.gz", text), ("compressed", gzip.compress(text))):
        path = tmp_path / name
        path.write_bytes(data)
        chunks = list(iter_decompressed(path, 7))
        assert b"".join(chunks) == text
        assert max(map(len, chunks)) <= 7


def test_truncated_gzip_raises_a_known_error(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(gzip.compress(os.urandom(1000))[:-20])
    with pytest.raises(DAMAGED):
        list(iter_decompressed(tmp_path / "file.gz", 100))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("0m", timedelta(0)),
        ("1h30m", timedelta(minutes=90)),
        ("2d1h", timedelta(hours=49)),
    ],
)
def test_duration_is_parsed(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5x", "m", "30m1h", "1 h", "-1s", "1.5h", "1234567s"])
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_nearest_name_ignores_case_and_separators() -> None:
    assert nearest("Base-URL", ["basis", "base_url"]) == "base_url"
    assert nearest("nmae", ["id", "name"]) == "name"
    assert nearest("x" * 200, ["x" * 200]) == ""
    assert nearest("zzz", ["name"]) == ""


def test_hint_lists_columns_if_none_is_near() -> None:
    assert closest("nmae", ("id", "name")) == "Did you mean 'name'?"
    assert closest("zzz", ("id", "name")) == "The source has: id, name."
    assert closest("zzz", ()) == "The source has no columns."
