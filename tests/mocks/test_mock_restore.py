"""A restore takes place completely or not at all: invalid snapshots, errors of the disk, and kills at each step."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import GOOD_CSV, MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, packed, record

from batchsync_mocks import Clock, serve, snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync_mocks import Running

START = "2026-03-01T12:00:00Z"
Members = dict[str, bytes | None]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Running]:
    """Mocks whose state directory stays, with batches of both vendors."""
    with serve(state_dir=tmp_path / "state", clock=Clock(START, frozen=True), seed=7) as running:
        fill(running, "before")
        yield running


@pytest.fixture(scope="module")
def snapshot() -> bytes:
    """A snapshot of other mocks."""
    with serve(clock=Clock("2026-05-01T00:00:00Z", frozen=True), seed=8) as running:
        fill(running, "after")
        return running.snapshot()


def fill(running: Running, name: str) -> None:
    MotorwebClient(running).send(GOOD_CSV, name)
    SitecoreClient(running).submit(record("guest", "upsert", email=f"{name}@example.com"))
    SitecoreClient(running).send(packed(record("guest", "upsert", email="pending@example.com")))


def memory(running: Running) -> list[Any]:
    """Return the state as requests see it."""
    vendors = (MOTORWEB, SITECORE)
    return [
        [running.batches(name) for name in vendors],
        [running.ledger(name, values=True) for name in vendors],
        [running.store(name) for name in vendors],
        [running._context.vendors[name].state.secret for name in vendors],
        running.clock.report(),
    ]


def disk_content(running: Running) -> dict[str, bytes]:
    """Return the files of the state directory."""
    folder = running.state_dir
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def after_restart(folder: Path) -> list[Any]:
    """Return the state that other mocks load from a copy of the state directory."""
    with serve(state_dir=folder, clock=Clock(START, frozen=True)) as running:
        return memory(running)


def members_of(snapshot: bytes) -> Members:
    """Return the content of each file of a snapshot, and None for each folder."""
    with tarfile.open(fileobj=io.BytesIO(snapshot)) as tar:
        return {member.name: file.read() if (file := tar.extractfile(member)) else None for member in tar}


def tar_of(members: Members) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return made.getvalue()


def a_file(members: Members, folder: str) -> str:
    return next(name for name in sorted(members) if name.startswith(f"{folder}/"))


def edit_json(members: Members, name: str, edit: Callable[[Any], Any]) -> None:
    content = json.loads(members[name] or b"")
    members[name] = json.dumps(edit(content)).encode()


def edit_batch(vendor: str, edit: Callable[[Any], Any]) -> Callable[[Members], None]:
    return lambda members: edit_json(members, a_file(members, f"{vendor}/batches"), edit)


def without(vendor: str, folder: str) -> Callable[[Members], None]:
    def remove(members: Members) -> None:
        for name in [name for name in members if f"{name}/".startswith(f"{vendor}/{folder}")]:
            del members[name]

    return remove


def outside(members: Members) -> None:
    """Let a batch name files outside of the state."""
    edit_json(members, a_file(members, f"{SITECORE}/batches"), lambda saved: saved | {"id": "../../../evil"})


def set_member(name: str, content: bytes | None) -> Callable[[Members], None]:
    return lambda members: members.update({name: content})


#: Snapshots with a single fault; the vendor that is replaced first is valid in most of them.
FAULTS: dict[str, Callable[[Members], None]] = {
    "second vendor missing": lambda members: (
        [members.pop(name) for name in list(members) if name.startswith(SITECORE)] and None
    ),
    "second vendor a file": lambda members: without(SITECORE, "")(members) or members.update({SITECORE: b"x"}),
    "second vendor empty": lambda members: without(SITECORE, "")(members) or members.update({SITECORE: None}),
    "further vendor": set_member("acme", None),
    "further file": set_member("ca.key", b"x"),
    "no secret": lambda members: members.pop(f"{SITECORE}/secret.json") and None,
    "secret a folder": set_member(f"{SITECORE}/secret.json", None),
    "secret no JSON": set_member(f"{SITECORE}/secret.json", b"{"),
    "secret no text": set_member(f"{SITECORE}/secret.json", b"\xff\xfe"),
    "secret a list": set_member(f"{SITECORE}/secret.json", b"[]"),
    "secret no hex": set_member(f"{SITECORE}/secret.json", b'{"secret": "zz", "generation": 0}'),
    "secret without generation": set_member(f"{SITECORE}/secret.json", b'{"secret": "00"}'),
    "no uploads": without(SITECORE, "uploads/"),
    "no outputs": without(SITECORE, "made/"),
    "upload missing": lambda members: members.pop(a_file(members, f"{SITECORE}/uploads")) and None,
    "batch no JSON": lambda members: members.update({a_file(members, f"{SITECORE}/batches"): b"no json"}),
    "batch nested deeply": lambda members: members.update({a_file(members, f"{SITECORE}/batches"): b"[" * 100_000}),
    "batch a folder": set_member(f"{SITECORE}/batches/x.json", None),
    "batch a list": edit_batch(SITECORE, lambda saved: [saved]),
    "batch null": edit_batch(SITECORE, lambda _: None),
    "batch without number": edit_batch(SITECORE, lambda saved: {k: v for k, v in saved.items() if k != "number"}),
    "batch with more": edit_batch(SITECORE, lambda saved: saved | {"more": 1}),
    "batch with a text as time": edit_batch(SITECORE, lambda saved: saved | {"created": "now"}),
    "batch with a boolean as number": edit_batch(SITECORE, lambda saved: saved | {"number": True}),
    "batch without checksum": edit_batch(SITECORE, lambda saved: saved | {"details": {"size": 1}}),
    "batch without object": edit_batch(MOTORWEB, lambda saved: saved | {"details": {"scheduled": None}}),
    "batch with a text as upload": edit_batch(SITECORE, lambda saved: saved | {"upload": "x"}),
    "batch with an incomplete outcome": edit_batch(SITECORE, lambda saved: saved | {"outcome": {"number": 1}}),
    "batch outside": outside,
    "clock no JSON": set_member("clock.json", b"x"),
    "clock empty": set_member("clock.json", b"{}"),
    "clock a list": set_member("clock.json", b"[]"),
    "clock a folder": set_member("clock.json", None),
    "clock with a text": lambda members: edit_json(members, "clock.json", lambda saved: saved | {"real": "x"}),
    "clock with a bad rate": lambda members: edit_json(members, "clock.json", lambda saved: saved | {"rate": 0}),
    "clock not a number": lambda members: members.update(
        {"clock.json": b'{"real": 1, "virtual": NaN, "rate": 1, "frozen": true}'}
    ),
    "clock without rate": lambda members: edit_json(
        members, "clock.json", lambda saved: {k: v for k, v in saved.items() if k != "rate"}
    ),
}


def restore(running: Running, body: bytes) -> requests.Response:
    return requests.post(f"{running.url}/_mock/restore", data=body, headers=running.control_headers, timeout=30)


@pytest.mark.parametrize("fault", FAULTS)
def test_invalid_part_of_a_snapshot_changes_nothing(kept: Running, snapshot: bytes, fault: str) -> None:
    before, files = memory(kept), disk_content(kept)
    members = members_of(snapshot)
    FAULTS[fault](members)
    response = restore(kept, tar_of(members))
    assert (response.status_code, bool(response.json()["error"])) == (400, True)
    assert (memory(kept), disk_content(kept)) == (before, files)


def test_snapshot_made_of_its_members_is_restored(kept: Running, snapshot: bytes) -> None:
    response = restore(kept, tar_of(members_of(snapshot)))
    assert response.json() == {"restored": True}
    assert [batch["userBatchRef"] for batch in kept.batches(MOTORWEB)] == ["after"]
    assert not [path.name for path in kept.state_dir.iterdir() if path.name.startswith(".")]


def test_snapshot_that_ends_early_changes_nothing(kept: Running, snapshot: bytes) -> None:
    before, files = memory(kept), disk_content(kept)
    with tarfile.open(fileobj=io.BytesIO(snapshot)) as tar:
        starts = [member.offset for member in tar]
        ends = [*starts[1:], tar.offset]
    cuts = {cut for start, end in zip(starts, ends, strict=True) for cut in (start, start + 100, (start + end) // 2)}
    for cut in {*cuts, ends[-1]}:
        assert restore(kept, snapshot[:cut]).status_code == 400, cut
    assert (memory(kept), disk_content(kept)) == (before, files)
    assert restore(kept, snapshot[: ends[-1] + tarfile.BLOCKSIZE]).status_code == 200


def test_sparse_file_in_a_snapshot_is_refused(kept: Running) -> None:
    before, files = memory(kept), disk_content(kept)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo("clock.json")
        member.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(member)
    assert restore(kept, made.getvalue()).status_code == 400
    assert (memory(kept), disk_content(kept)) == (before, files)


class FailingCalls:
    """Stand-in for a method of `Path` that fails at its n-th call below a folder, with the error of a full disk."""

    def __init__(self, name: str, folder: Path, fails_at: int, error: BaseException) -> None:
        self.real, self.folder, self.fails_at, self.error = getattr(Path, name), folder, fails_at, error
        self.calls = 0

    def __call__(self, path: Path, *arguments: Any, **named: Any) -> Any:
        if path.is_relative_to(self.folder):
            self.calls += 1
            if self.calls == self.fails_at:
                raise self.error
        return self.real(path, *arguments, **named)

    def replace_in(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        def call(path: Path, *arguments: Any, **named: Any) -> Any:
            return self(path, *arguments, **named)

        monkeypatch.setattr(Path, name, call)


#: Renames of a restore: the decision, then two for each vendor and the clock.
RENAMES = 7


@pytest.mark.parametrize("step", range(1, RENAMES + 1))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_error_while_files_are_replaced_is_undone(
    kept: Running, snapshot: bytes, monkeypatch: pytest.MonkeyPatch, step: int, number: int
) -> None:
    before, files = memory(kept), disk_content(kept)
    failing = FailingCalls("rename", kept.state_dir, step, OSError(number, os.strerror(number)))
    with monkeypatch.context() as patch:
        failing.replace_in(patch, "rename")
        response = restore(kept, snapshot)
    assert failing.calls >= step
    assert response.status_code == 500
    assert os.strerror(number) in response.json()["error"]
    assert (memory(kept), disk_content(kept)) == (before, files)
    assert after_restart(kept.state_dir) == before
    assert restore(kept, snapshot).status_code == 200


@pytest.mark.parametrize("step", [1, 2, 5, 9])
def test_full_disk_while_a_snapshot_is_unpacked_changes_nothing(
    kept: Running, snapshot: bytes, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    before, files = memory(kept), disk_content(kept)
    calls = 0

    def full(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(snapshots.shutil, "copyfileobj", full)
        response = restore(kept, snapshot)
    assert calls == step
    assert response.status_code == 500
    assert "No space left" in response.json()["error"]
    assert (memory(kept), disk_content(kept)) == (before, files)


class KilledError(BaseException):
    """Stand-in for a kill: the process does nothing more after it."""


@pytest.mark.parametrize("step", range(1, RENAMES + 1))
def test_kill_while_files_are_replaced_leaves_one_state_or_the_other(
    kept: Running, snapshot: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The state directory as a kill at each rename leaves it is completed at the next start."""
    before = memory(kept)
    copy = tmp_path / "as the kill left it"

    class Copied(FailingCalls):
        def __call__(self, path: Path, *arguments: Any, **named: Any) -> Any:
            if path.is_relative_to(self.folder) and self.calls + 1 == step:
                shutil.copytree(self.folder, copy)
            return super().__call__(path, *arguments, **named)

    with monkeypatch.context() as patch:
        # The copy is the state between two steps; the restore itself continues to its end.
        Copied("rename", kept.state_dir, -1, KilledError()).replace_in(patch, "rename")
        kept.restore(io.BytesIO(snapshot))
    after = memory(kept)
    assert after != before
    assert after_restart(copy) == (before if step == 1 else after)
    assert not [path.name for path in copy.iterdir() if path.name.startswith(".")]


def test_files_that_cannot_be_put_back_are_completed_at_the_next_start(
    kept: Running, snapshot: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(state_dir=tmp_path / "other", clock=Clock(START, frozen=True)) as other:
        other.restore(io.BytesIO(snapshot))
        wanted = memory(other)

    def broken(path: Path, *arguments: Any) -> Any:
        nonlocal calls
        calls += path.is_relative_to(kept.state_dir)
        if calls >= 5:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *arguments)

    calls, real = 0, Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", broken)
        response = restore(kept, snapshot)
    assert response.status_code == 500
    assert "Start the mocks again" in response.json()["error"]
    copy = tmp_path / "copy"
    shutil.copytree(kept.state_dir, copy)
    assert after_restart(copy) == wanted


def test_rest_of_an_earlier_restore_is_no_obstacle(kept: Running, snapshot: bytes) -> None:
    (kept.state_dir / snapshots.REPLACED / MOTORWEB).mkdir(parents=True)
    (kept.state_dir / snapshots.REPLACED / MOTORWEB / "old").touch()
    (kept.state_dir / snapshots.PENDING).mkdir()
    assert restore(kept, snapshot).status_code == 200
    assert not [path.name for path in kept.state_dir.iterdir() if path.name.startswith(".")]


def test_clock_that_is_advanced_during_a_restore_stays_as_saved(kept: Running, snapshot: bytes) -> None:
    kept.restore(io.BytesIO(snapshot))
    kept.advance(60)
    assert after_restart(kept.state_dir) == memory(kept)
