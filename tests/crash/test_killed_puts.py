"""SIGKILL of the real command while it puts objects: no partial object, and no orphan after the next run."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.naming import baseline_prefix, batch_file_key, row_manifest_key, segment_key, staging_prefix
from batchsync.journal import Journal
from batchsync.storage.local_folder import LocalFolder
from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.ports import ObjectInfo


def killed(deployment: Deployment, put: int, when: str) -> None:
    """Start a sync that kills itself."""
    done = subprocess.run(
        [sys.executable, "-m", "kit.killed_puts", "sync", "guests"],
        cwd=deployment.folder,
        env={
            **deployment.environ(),
            "KILL_PUT": str(put),
            "KILL_WHEN": when,
            "PYTHONPATH": os.pathsep.join(str(Path(item).resolve()) for item in sys.path if item),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def is_complete(store: LocalFolder, item: ObjectInfo) -> bool:
    """Return whether the content of an object is that of its name."""
    digests = [part for part in item.key.rpartition("/")[2].split(".") if len(part) == 64]
    with store.get(item.key) as path:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digests[-1]


def journaled(state: Path) -> set[str]:
    """Return the keys that the journal names."""
    with Journal.open(state) as journal:
        files = [(batch.job, batch.file) for batch in journal.open_batches()]
        segments = {segment_key("guests", name) for name in journal.baseline_files("guests")}
    return {key(*file) for file in files for key in (batch_file_key, row_manifest_key)} | segments


@pytest.mark.parametrize(
    ("put", "when", "orphans"),
    [
        (1, "written", 0),
        (1, "linked", 1),
        (1, "put", 1),
        (2, "written", 1),
        (2, "linked", 2),
        (2, "put", 2),
        (3, "written", 0),
        (3, "linked", 1),
        (3, "put", 1),
    ],
)
@pytest.mark.parametrize("load", ["first", "later"])
def test_killed_put_leaves_a_whole_object_or_none(
    deployment: Deployment, load: str, put: int, when: str, orphans: int
) -> None:
    """The first put is that of the row manifest, the second of the batch file, the third of a segment.

    A first load is encoded in the work folder while it is compared; the files of a later one in a workspace.
    """
    state = deployment.folder / ".batchsync" / "mocks"
    store = LocalFolder(state)

    def objects() -> Sequence[ObjectInfo]:
        return [*store.list(staging_prefix("guests")), *store.list(baseline_prefix("guests"))]

    if load == "later":
        deployment.run("sync", "guests")
        with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as source:
            source.write("NEW,new guest,new@example.com\n")

    killed(deployment, put, when)

    found = objects()
    assert all(is_complete(store, item) for item in found)
    assert len({item.key for item in found} - journaled(state)) == orphans
    assert journaled(state) <= {item.key for item in found}
    assert bool(list(state.glob("*/guests/.*"))) == (put == 3 or load == "later")
    deployment.run("sync", "guests")
    assert {item.key for item in objects()} == journaled(state)
    assert not list(state.glob("*/guests/.*"))
    assert set(deployment.delivered(CDP).values()) == {1}
