"""The contract of `ObjectStore`, which the local folder and the toy store keep alike."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batchsync.ports import ObjectConflictError, ObjectFolder
from batchsync.storage import local_folder
from batchsync.storage.local_folder import LocalFolder
from kit.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.ports import ObjectStore

STORES = {"local folder": LocalFolder, "memory": MemoryStore}
PREFIXES = ["staging/guests", "staging/guests-2", "baselines/guests"]
NAMES = ["a", "a.parquet", "b-1", "b/c", "b/c.d/e"]
KEYS = st.builds("{}/{}".format, st.sampled_from(PREFIXES), st.sampled_from(NAMES))
CONTENT = st.sampled_from([b"", b"one", b"two", b"two" * 100_000])


class Contract(RuleBasedStateMachine):
    """Any sequence of calls has the results of a dictionary."""

    make: Callable[[Path], ObjectStore]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = type(self).make(self.folder)
        self.content: dict[str, bytes] = {}
        self.versions: dict[str, str] = {}
        self.left: list[Any] = []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(key=KEYS, content=CONTENT, elsewhere=st.booleans())
    def put(self, key: str, content: bytes, *, elsewhere: bool) -> None:
        with self.store.workspace(key.rpartition("/")[0]) as workspace:
            file = (self.folder if elsewhere else workspace) / "finished"
            file.write_bytes(content)
            if self.content.setdefault(key, content) != content:
                with pytest.raises(ObjectConflictError, match=key):
                    self.store.put(key, file)
                file.unlink()
                return
            info = self.store.put(key, file)
            assert not file.exists()
        assert (info.key, info.size) == (key, len(content))
        assert info.version == self.versions.setdefault(key, info.version)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.store.delete(key)
        self.content.pop(key, None)
        self.versions.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        if key not in self.content:
            with pytest.raises(FileNotFoundError), self.store.get(key):
                pass
            return
        with self.store.get(key) as path, self.store.get(key) as again:
            assert path.read_bytes() == again.read_bytes() == self.content[key]
            assert path.name == key.rpartition("/")[2]

    @rule(prefix=st.sampled_from(PREFIXES), content=CONTENT)
    def be_interrupted(self, prefix: str, content: bytes) -> None:
        """A writer that is killed leaves no object."""
        self.left.append(self.store.workspace(prefix))
        (self.left[-1].__enter__() / "a").write_bytes(content)

    @rule(prefix=st.sampled_from(PREFIXES))
    def discard_unfinished(self, prefix: str) -> None:
        with self.store.workspace(prefix) as workspace:
            (workspace / "a").write_bytes(b"unfinished")
            self.store.discard_unfinished(prefix)
            assert not workspace.exists()

    @invariant()
    def objects_are_those_put(self) -> None:
        for prefix in [*PREFIXES, "staging", "baselines", "staging/guests/b", "absent"]:
            listed = self.store.list(prefix)
            assert [item.key for item in listed] == sorted(key for key in self.content if key.startswith(f"{prefix}/"))
            assert all(item == self.store.head(item.key) for item in listed)
            assert all((item.size, item.version) == self.facts(item.key) for item in listed)

    def facts(self, key: str) -> tuple[int, str]:
        return len(self.content[key]), self.versions[key]


@pytest.mark.parametrize("name", STORES)
def test_any_sequence_of_calls_has_the_results_of_a_dictionary(name: str) -> None:
    machine = type("Machine", (Contract,), {"make": STORES[name]})
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    machine.TestCase().runTest()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return STORES[request.param](tmp_path)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.hidden", "a\0"])
def test_invalid_key_is_refused_by_every_call(store: ObjectStore, tmp_path: Path, key: str) -> None:
    file = tmp_path / "finished"
    file.write_bytes(b"x")
    contexts = (store.workspace, store.get)
    calls = (store.head, store.list, store.delete, store.discard_unfinished, store.location)
    for call in (*calls, *(lambda key, make=make: make(key).__enter__() for make in contexts)):
        with pytest.raises(ValueError, match="invalid key"):
            call(key)
    with pytest.raises(ValueError, match="invalid key"):
        store.put(key, file)
    assert file.exists()


def test_one_of_several_writers_wins(store: ObjectStore, tmp_path: Path) -> None:
    def put(number: int) -> bool:
        file = tmp_path / f"finished-{number}"
        file.write_bytes(b"%d" % number)
        try:
            store.put("a/b", file)
        except ObjectConflictError:
            return False
        return True

    for _ in range(20):
        with ThreadPoolExecutor(8) as threads:
            won = list(threads.map(put, range(8)))
        with store.get("a/b") as path:
            assert path.read_bytes() == b"%d" % won.index(True)
        assert sum(won) == 1
        store.delete("a/b")


@pytest.mark.parametrize("name", ["{}.csv", "{}.json.gz", "5a5a.{}.manifest.parquet"])
def test_damaged_object_is_replaced_by_the_content_of_its_name(store: ObjectStore, tmp_path: Path, name: str) -> None:
    key = f"staging/guests/{name.format(sha256(b'content').hexdigest())}"
    (tmp_path / "finished").write_bytes(b"content")
    first = store.put(key, tmp_path / "finished")
    damage(store, key)
    (tmp_path / "finished").write_bytes(b"content")
    assert store.put(key, tmp_path / "finished").version != first.version
    with store.get(key) as path:
        assert path.read_bytes() == b"content"
    assert not (tmp_path / "finished").exists()
    assert [item.key for item in store.list("staging")] == [key]


@pytest.mark.parametrize(
    "name", ["a.csv", f"{sha256(b'damaged').hexdigest()}.csv", f"{sha256(b'other').hexdigest()}.csv"]
)
def test_object_whose_name_is_not_the_digest_of_the_new_content_is_kept(
    store: ObjectStore, tmp_path: Path, name: str
) -> None:
    (tmp_path / "finished").write_bytes(b"first")
    store.put(f"staging/guests/{name}", tmp_path / "finished")
    damage(store, f"staging/guests/{name}")
    (tmp_path / "finished").write_bytes(b"content")
    with pytest.raises(ObjectConflictError, match="exists with other content"):
        store.put(f"staging/guests/{name}", tmp_path / "finished")
    with store.get(f"staging/guests/{name}") as path:
        assert path.read_bytes() == b"damaged"


def damage(store: ObjectStore, key: str) -> None:
    if isinstance(store, MemoryStore):
        store.damage(key)
    else:
        Path(store.location(key)).write_bytes(b"damaged")


def test_later_object_of_a_key_has_another_version(store: ObjectStore, tmp_path: Path) -> None:
    versions = set()
    for content in (b"one", b"three"):
        (tmp_path / "finished").write_bytes(content)
        versions.add(store.put("a/b", tmp_path / "finished").version)
        store.delete("a/b")
    assert len(versions) == 2


def test_location_ends_with_the_name(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "finished").write_bytes(b"x")
    location = ObjectFolder(store, "staging/guests").put(tmp_path / "finished", "a.json.gz")
    assert location == store.location("staging/guests/a.json.gz")
    assert location.endswith("/a.json.gz")


# The local folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[LocalFolder]:
    """Return a store below a folder with a mask that would allow everything."""
    before = os.umask(0)
    yield LocalFolder(tmp_path / "state")
    os.umask(before)


def put(store: LocalFolder, key: str = "a/b/c", content: bytes = b"content") -> Path:
    """Put an object from a workspace, and return its file."""
    with store.workspace(key.rpartition("/")[0]) as workspace:
        (workspace / "finished").write_bytes(content)
        store.put(key, workspace / "finished")
    return Path(store.location(key))


def test_object_is_the_renamed_file_in_a_private_folder(folder: LocalFolder) -> None:
    with folder.workspace("a/b") as workspace:
        finished = workspace / "finished"
        finished.write_bytes(b"content")
        inode = finished.stat().st_ino
        folder.put("a/b/c", finished)
        assert workspace.parent == folder.root / "a" / "b"
    path = folder.root / "a" / "b" / "c"
    assert (path.stat().st_ino, path.stat().st_nlink) == (inode, 1)
    assert [stat.S_IMODE(item.stat().st_mode) for item in (workspace.parent, *workspace.parent.parents[:2])] == [
        0o700
    ] * 3
    assert [item.name for item in path.parent.iterdir()] == ["c"]
    with folder.get("a/b/c") as local:
        assert local == path


def test_file_and_folder_are_flushed_around_the_rename(folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    for name in ("fsync_file", "move_if_free", "fsync_folder"):
        original = getattr(local_folder, name)

        def record(*paths: Path, name: str = name, original: Any = original) -> None:
            steps.append((name, *(path.name for path in paths)))
            original(*paths)

        monkeypatch.setattr(local_folder, name, record)
    put(folder)
    assert steps == [("fsync_file", "finished"), ("move_if_free", "finished", "c"), ("fsync_folder", "b")]
    steps.clear()
    put(folder)
    assert [name for name, *_ in steps] == ["fsync_file", "move_if_free", "fsync_file", "fsync_folder"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_file_system_without_hard_links_is_supported(
    folder: LocalFolder, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refused(path: Path, target: Path) -> None:
        raise OSError(error, os.strerror(error), str(path), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert put(folder).read_bytes() == b"content"
    assert put(folder).read_bytes() == b"content"
    with pytest.raises(ObjectConflictError, match="a/b/c"):
        put(folder, content=b"other")


def test_file_of_another_file_system_is_copied(
    folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = local_folder.move_if_free

    def elsewhere(file: Path, final: Path) -> None:
        if file.parent == tmp_path:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        original(file, final)

    monkeypatch.setattr(local_folder, "move_if_free", elsewhere)
    (tmp_path / "finished").write_bytes(b"content")
    with folder.workspace("a/b") as workspace:
        folder.put("a/b/c", tmp_path / "finished")
        assert workspace.exists()
    assert [item.name for item in (folder.root / "a" / "b").iterdir()] == ["c"]
    assert not (tmp_path / "finished").exists()


def test_refused_write_leaves_no_object(folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local_folder, "fsync_file", full)
    with pytest.raises(OSError, match="No space left"):
        put(folder)
    assert (folder.list("a"), list((folder.root / "a" / "b").iterdir())) == ([], [])


def test_leftovers_of_older_releases_are_discarded_and_no_objects(folder: LocalFolder) -> None:
    path = put(folder)
    (path.parent / ".segment.partial").write_bytes(b"x")
    (path.parent / ".batchsync-part-x").mkdir()
    (path.parent / ".link").symlink_to(path.parent)
    assert [item.key for item in folder.list("a")] == ["a/b/c"]
    folder.discard_unfinished("a/b")
    assert [item.name for item in path.parent.iterdir()] == ["c"]
