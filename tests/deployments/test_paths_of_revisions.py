"""Paths of a revision: allowed beside the roots, results and state outside of it, no new state in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.cli.session import refuse_checkouts
from batchsync.errors import UsageError
from batchsync.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def revision(tmp_path: Path) -> Path:
    """Return the folder of a revision in the state folder `state`."""
    folder = tmp_path / "state" / "checkouts" / "0123456789ab"
    (folder / "sub").mkdir(parents=True)
    (folder.parent / "deployment.json").write_text("{}", encoding="utf-8")
    (folder.parent / "current").symlink_to(folder.name)
    return folder


def settings(revision: Path, *, name: str = "jobs.yaml", **more: object) -> Settings:
    """Return settings as `serve --git` and the commands beside it use them."""
    state = revision.parents[1]
    return Settings.model_validate({"file": revision / name, "state": state, "mocks": False, **more})


def test_files_of_revision_are_allowed_beside_the_roots(revision: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("a\n", encoding="utf-8")
    (revision / "link.csv").symlink_to(tmp_path / "outside.csv")
    fence = settings(revision, roots=str(tmp_path / "data")).fence
    assert fence.objection(revision / "guests.csv") == ""
    assert fence.objection(tmp_path / "data" / "guests.csv") == ""
    assert "leads through a link out of" in fence.objection(revision / "link.csv")
    assert fence.objection(tmp_path / "state" / "journal.db")
    elsewhere = Settings(file=tmp_path / "jobs.yaml", state=revision.parents[1], roots=str(tmp_path / "data"))
    assert elsewhere.fence.objection(revision / "guests.csv")


@pytest.mark.parametrize("place", ["0123456789ab", "current"])
def test_results_of_every_revision_have_one_place(place: str, revision: Path, tmp_path: Path) -> None:
    found = settings(revision.parent / place)
    results = tmp_path / "state" / "results"
    assert found.results_path(str(revision.parent / place / "out" / "answers.csv")) == str(
        results / "out" / "answers.csv"
    )
    inner = settings(revision.parent / place, name="sub/jobs.yaml")
    assert inner.results_path(str(revision.parent / place / "answers.csv")) == str(results / "answers.csv")
    assert found.results_path("/srv/out/answers.csv") == "/srv/out/answers.csv"


def test_state_beside_jobs_file_of_revision_is_refused(revision: Path, tmp_path: Path) -> None:
    for path in (revision / "jobs.yaml", revision.parent / "current" / "jobs.yaml", revision / "sub" / "jobs.yaml"):
        with pytest.raises(UsageError) as refused:
            refuse_checkouts(path)
        assert refused.value.hint == f"export BATCHSYNC_STATE={tmp_path / 'state'}"
    (revision.parent / "deployment.json").unlink()
    refuse_checkouts(revision / "jobs.yaml")


def test_hint_for_mocks_names_the_folder_that_they_are_below(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "mocks" / "checkouts" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder.parent / "deployment.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        refuse_checkouts(folder / "jobs.yaml")
    assert refused.value.hint == f"export BATCHSYNC_STATE={tmp_path / 'state'}"
