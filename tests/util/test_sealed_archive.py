"""Archives with a manifest: the same content gives the same bytes, and every changed byte is noticed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.util.sealed_archive import ArchiveError, is_archive, read_archive, write_archive

if TYPE_CHECKING:
    from pathlib import Path

KIND = "sample"


def write(folder: Path, name: str = "file.sample") -> Path:
    """Write an archive of two parts."""
    parts = {}
    for part in ("a/one.bin", "b/two.bin"):
        source = folder / part.replace("/", "-")
        source.write_bytes(part.encode() * 50)
        parts[part] = source
    write_archive(folder / name, KIND, {"number": 7}, parts)
    return folder / name


def read(path: Path, into: Path) -> dict[str, bytes]:
    """Extract an archive and return its parts."""
    archive = read_archive(path, KIND)
    assert archive.content == {"number": 7}
    into.mkdir()
    archive.extract(into)
    return {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}


def test_parts_are_read_as_written(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read(path, tmp_path / "into") == {"a/one.bin": b"a/one.bin" * 50, "b/two.bin": b"b/two.bin" * 50}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_archive(path, KIND)
    assert not is_archive(path, "other")
    with pytest.raises(ArchiveError, match="another ZIP archive"):
        read_archive(path, "other")


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, "second.sample")
    assert first.read_bytes() == second.read_bytes()


def test_failed_write_leaves_the_older_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError):
        write_archive(path, KIND, {}, {"a.bin": tmp_path / "missing"})
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_changed_byte_of_content_is_noticed_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = tmp_path / "changed.sample"
    changed.write_bytes(bytes(content))
    into = tmp_path / f"into-{len(list(tmp_path.iterdir()))}"
    try:
        found = read(changed, into)
    except ArchiveError:
        return
    # Fields that have no meaning here, such as times of entries.
    assert found == {"a/one.bin": b"a/one.bin" * 50, "b/two.bin": b"b/two.bin" * 50}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncated_archives_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = write(tmp_path).read_bytes()
    changed = tmp_path / "changed.sample"
    changed.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ArchiveError):
        read_archive(changed, KIND)
