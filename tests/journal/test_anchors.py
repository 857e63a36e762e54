"""The anchor of a journal follows its commits, and stops a process whose state was replaced by a copy meanwhile."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, make_batch, make_run, record_all, start_run

from batchsync.errors import StateError
from batchsync.journal import Journal, accept_older, open_anchored

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    return tmp_path / "anchors"


def anchored(anchors: Path) -> dict[str, object]:
    (file,) = anchors.iterdir()
    content: dict[str, object] = json.loads(file.read_bytes())
    return content


def add_run(journal: Journal, serial: int, job: str = "guests") -> None:
    run = make_run(job=job, serial=serial)
    journal.start_run(run, [make_batch(run)], ())


def copy_of(state: Path) -> Path:
    copy = state.with_name("copy")
    shutil.copytree(state, copy)
    copy.chmod(0o700)
    return copy


def test_anchor_follows_each_commit(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        for serial in (1, 2):
            add_run(journal, serial)
            mark = journal.mark()
            assert anchored(anchors) == {
                "folder": str(state.resolve()),
                "serial": journal.serial,
                "event": mark.event,
                "chain": journal.chain_head(),
                "acceptance": "",
                "runs": {"guests": serial},
            }
        assert mark.event == 2


def test_each_journal_has_an_id_that_it_keeps(state: Path, tmp_path: Path) -> None:
    ids = []
    for folder in (state, state, tmp_path / "other"):
        with open_anchored(folder, None) as journal:
            ids.append(journal.journal_id)
    assert ids[0] == ids[1] != ids[2]
    assert all(ids)


def test_journal_without_an_id_gets_one(state: Path) -> None:
    with Journal.open(state) as journal:
        add_run(journal, 1)
    with open_anchored(state, None) as journal:
        given = journal.journal_id
    with Journal.open(state) as journal:
        assert journal.journal_id == given != ""


def test_process_that_dies_while_it_gives_an_id_leaves_a_usable_journal(state: Path) -> None:
    """The watermark inside the folder still has the empty id then."""

    def die(name: str) -> None:
        if name == "identify:committed":
            raise KeyboardInterrupt

    with Journal.open(state) as journal:
        add_run(journal, 1)
    with Journal.open(state, failpoint=die) as journal, pytest.raises(KeyboardInterrupt):
        journal.identify("given")
    with open_anchored(state, None) as journal:
        assert journal.journal_id == "given"
        add_run(journal, 2)


def test_id_that_names_no_file_is_not_used_as_one(state: Path, anchors: Path) -> None:
    Journal.open(state, journal_id="../outside").close()
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
    assert not anchors.exists()
    assert accept_older(state, anchors, reason="none", at=NOW) is None


def test_two_processes_move_the_anchor_together(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as one, open_anchored(state, anchors) as other:
        add_run(one, 1)
        add_run(other, 2)
        add_run(one, 3)
        assert anchored(anchors)["serial"] == one.serial


def test_anchor_never_moves_back(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
        (file,) = anchors.iterdir()
        later = {**anchored(anchors), "serial": 99}
        file.write_text(json.dumps(later))
        add_run(journal, 2)
    assert anchored(anchors) == later


def test_running_process_is_stopped_once_a_copy_was_used(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
        with open_anchored(copy_of(state), anchors) as copy:
            add_run(copy, 2)
            add_run(copy, 1, job="vehicles")
        with pytest.raises(StateError, match="is a copy of the state in"):
            add_run(journal, 2)


def test_running_process_is_stopped_once_another_copy_was_accepted(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
        copy = copy_of(state)
        add_run(journal, 2)
        found = accept_older(copy, anchors, reason="the original is lost", at=NOW)
        assert found is not None
        assert found.other == str(state.resolve())
        with pytest.raises(StateError, match="is a copy of the state in"):
            add_run(journal, 3)
    with open_anchored(copy, anchors) as accepted:
        add_run(accepted, 2)
        assert [item.reason for item in accepted.acceptances()] == ["the original is lost"]


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (1, {"prepared before": True, "prepared after": False, "delivered before": False, "sent after": False}),
        (2, {"prepared before": True, "prepared after": True, "delivered before": False, "sent after": False}),
    ],
)
def test_batch_found_after_acceptance_may_be_followed_by_lost_runs(
    state: Path, anchors: Path, lost: int, expected: dict[str, bool]
) -> None:
    names: dict[str, str] = {}
    with open_anchored(state, anchors) as journal:
        delivered, open_batch, sent = start_run(journal, batches=3)
        journal.deliver(record_all(journal, delivered), DELIVERED, baseline=None, rejects=())
        names |= {"delivered before": delivered.id, "prepared before": open_batch.id, "sent after": sent.id}
        copy = copy_of(state)
        for serial in range(2, 2 + lost):
            start_run(journal, serial=serial)
        start_run(journal, job="vehicles")
    shutil.rmtree(state)
    accept_older(copy, anchors, reason="restored", at=NOW)

    with open_anchored(copy, anchors) as journal:
        names["prepared after"] = start_run(journal, serial=2)[0].id
        other = start_run(journal, job="orders")[0]
        before = {name: journal.may_be_followed(batch) for name, batch in names.items()}
        assert before == expected | {"sent after": True}, "it may have been sent by the lost runs, too"
        renamed = journal.may_be_followed(other.id, ["guests"])
        assert renamed == expected["prepared after"], "lost runs may have been made under another name"

        record_all(journal, sent)

        after = {name: journal.may_be_followed(batch) for name, batch in names.items()}
        assert after == expected | {"prepared after": True}, "the batch that was sent now may be the later one"
        assert not journal.may_be_followed(other.id)


def test_copies_that_both_went_on_lost_an_unknown_number_of_runs(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        start_run(journal)
        copy = copy_of(state)
        start_run(journal, serial=2)
    accept_older(copy, anchors, reason="the other copy is not used any more", at=NOW)

    with open_anchored(copy, anchors) as journal:
        assert journal.may_be_followed(start_run(journal, serial=2)[0].id)


def test_state_that_is_not_older_is_not_accepted(state: Path, anchors: Path) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
    assert accept_older(state, anchors, reason="none", at=NOW) is None
    assert accept_older(state, None, reason="none", at=NOW) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "7",
        "{",
        '{"serial": 1}',
        '{"folder": "/x", "serial": "many", "event": 0, "chain": ""}',
        "[" * 9_999,
    ],
)
def test_unreadable_anchor_is_replaced(state: Path, anchors: Path, content: str) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
    (file,) = anchors.iterdir()
    file.write_text(content)
    with open_anchored(state, anchors) as journal:
        add_run(journal, 2)
        assert anchored(anchors)["serial"] == journal.serial


def test_anchor_that_is_a_link_is_not_followed(state: Path, anchors: Path, tmp_path: Path) -> None:
    with open_anchored(state, anchors) as journal:
        add_run(journal, 1)
    (file,) = anchors.iterdir()
    file.rename(tmp_path / "target")
    file.symlink_to(tmp_path / "target")
    before = (tmp_path / "target").read_bytes()
    with open_anchored(state, anchors) as journal:
        add_run(journal, 2)
    assert (tmp_path / "target").read_bytes() == before
