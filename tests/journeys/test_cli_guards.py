"""Nothing is removed at the vendor by an empty source, a great loss of rows or an edit before a person approves it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from kit.deployment import CDP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from kit.deployment import Deployment

COUNT = 30


@pytest.fixture
def batchsync(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run batchsync in this process over 30 guests that the vendor holds already."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environ = deployment.environ()

    def run(*arguments: str, expect: int = 0) -> Result:
        done = CliRunner().invoke(main, list(arguments), env=environ)
        assert done.exit_code == expect, done.output
        return done

    keep(deployment, range(COUNT))
    run("sync", "guests")
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def keep(deployment: Deployment, numbers: range, file: str = "guests.csv") -> None:
    """Let the source hold these guests."""
    rows = [f"K{number},guest,guest{number}@example.com" for number in numbers]
    (deployment.folder / file).write_text("\n".join(["id,name,email", *rows, ""]), encoding="utf-8")


def edit(deployment: Deployment, old: str, new: str) -> None:
    """Edit jobs.yaml."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def guards(deployment: Deployment, text: str) -> None:
    """Give the job guests these guards."""
    edit(deployment, "    on_removed: delete\n", f"    on_removed: delete\n    guards: {text}\n")


def deleted(deployment: Deployment) -> int:
    """Return how many deletions the vendor received."""
    return [item["mode"] for item in deployment.mocks.ledger(CDP)].count("delete")


def test_empty_source_removes_nothing_until_it_is_approved(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    keep(deployment, range(5))
    guards(deployment, "{max_remove: 100%}")
    batchsync("sync", "guests")
    assert deleted(deployment) == COUNT - 5
    keep(deployment, range(0))

    assert "the source has no rows" in batchsync("plan", "guests").stdout
    held = batchsync("sync", "guests", expect=6).stdout
    assert "the source has no rows, and the plan would remove 5 of 5 records the target holds" in held
    assert deleted(deployment) == COUNT - 5

    batchsync("approve", "guests", "--reason", "the shop closed")
    batchsync("sync", "guests")
    assert deleted(deployment) == COUNT
    assert deployment.mocks.store(CDP) == []


def test_empty_source_removes_what_the_guards_let_it(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    guards(deployment, "{max_remove: 100%, min_rows: 0}")
    keep(deployment, range(0))
    batchsync("sync", "guests")
    assert deleted(deployment) == COUNT


def test_empty_source_of_a_first_sync_is_held_by_no_default(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    edit(deployment, "  guests:\n", "  visitors:\n")
    keep(deployment, range(0))
    assert "selected 0" in batchsync("sync", "visitors").stdout


@pytest.mark.parametrize(("left", "expect"), [(COUNT - 10, 0), (COUNT - 11, 6)])
def test_great_loss_of_rows_is_held_by_default(
    deployment: Deployment, batchsync: Callable[..., Result], left: int, expect: int
) -> None:
    keep(deployment, range(left))
    said = batchsync("sync", "guests", expect=expect).stdout
    assert deleted(deployment) == (0 if expect else 10)
    assert ("remove 11 of 30 records the target holds, above max_remove 10 or 5%" in said) == bool(expect)


EDITS: dict[str, tuple[str, str]] = {
    "path": ("path: guests.csv", "path: other.csv"),
    "join": ("path: guests.csv, key: id", "path: guests.csv, key: id, join: [{path: j.csv, on: id}]"),
    "nulls": ("path: guests.csv, key: id", "path: guests.csv, key: id, nulls: [none]"),
    "removal": ("on_removed: delete", "on_removed: gdpr_delete"),
}


@pytest.mark.parametrize("name", EDITS)
def test_removals_after_an_edit_are_held_until_they_are_approved(
    deployment: Deployment, batchsync: Callable[..., Result], name: str
) -> None:
    for file in ("guests.csv", "other.csv"):
        keep(deployment, range(COUNT - 2), file)
    (deployment.folder / "j.csv").write_text("id,label\nK1,one\n", encoding="utf-8")
    edit(deployment, *EDITS[name])

    for _ in range(2):
        held = batchsync("sync", "guests", expect=6).stdout
        assert "edited since run guests-1, and the plan would remove 2 of 30 records" in held
    assert len(deployment.mocks.ledger(CDP)) == COUNT

    batchsync("approve", "guests")
    batchsync("sync", "guests")
    assert len(deployment.mocks.ledger(CDP)) == COUNT + 2
    keep(deployment, range(COUNT - 3), "other.csv")
    keep(deployment, range(COUNT - 3))
    batchsync("sync", "guests")
    assert len(deployment.mocks.ledger(CDP)) == COUNT + 3, "an edit holds once"


def test_key_that_is_defined_as_before_again_removes_nothing_unasked(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    edit(deployment, "guests.csv, key: id}", "guests.csv, key: email}")
    edit(deployment, "id: =id}]", "id: =email}]")
    batchsync("sync", "guests")
    edit(deployment, "guests.csv, key: email}", "guests.csv, key: id}")
    edit(deployment, "id: =email}]", "id: =id}]")
    keep(deployment, range(COUNT - 1))
    batchsync("sync", "guests", expect=6)
    assert deleted(deployment) == 0


def test_edit_whose_first_run_could_not_say_what_is_gone_still_holds(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    keep(deployment, range(COUNT - 2), "other.csv")
    other = deployment.folder / "other.csv"
    whole = other.read_text(encoding="utf-8")
    other.write_text(whole + ",no key,a@b.cd\n", encoding="utf-8")
    edit(deployment, *EDITS["path"])
    batchsync("sync", "guests")
    other.write_text(whole, encoding="utf-8")
    batchsync("sync", "guests", expect=6)
    assert deleted(deployment) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("=initcap(name)", "=upper(name)"), ("guestType: customer", "guestType: customer\n      city: Brno")],
)
def test_edit_that_decides_no_removal_holds_none(
    deployment: Deployment, batchsync: Callable[..., Result], old: str, new: str
) -> None:
    edit(deployment, old, new)
    keep(deployment, range(COUNT - 2))
    batchsync("sync", "guests")
    assert deleted(deployment) == 2


def test_removals_after_an_edit_are_sent_where_the_guards_say_so(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    guards(deployment, "{removals_after_edit: send}")
    edit(deployment, *EDITS["path"])
    keep(deployment, range(COUNT - 2), "other.csv")
    batchsync("sync", "guests")
    assert deleted(deployment) == 2


def test_many_held_runs_do_not_make_an_edit_forgotten(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    edit(deployment, *EDITS["path"])
    keep(deployment, range(COUNT - 2), "other.csv")
    for _ in range(22):
        batchsync("sync", "guests", expect=6)
    assert deleted(deployment) == 0


def test_validate_lists_the_guards_of_each_job(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    said = batchsync("validate").stdout.splitlines()
    assert "vehicles: no guards; it removes nothing" in said
    defaults = "min_rows 1 (default), removals_after_edit hold (default)"
    assert f"guests: guards: max_remove 10 or 5% (default), {defaults}" in said
    guards(deployment, "{max_remove: 7, max_change: 30%}")
    assert f"guests: guards: max_remove 7, max_change 30%, {defaults}" in batchsync("validate").stdout
    told: dict[str, Any] = json.loads(batchsync("-o", "json", "validate").stdout)["result"]["guards"]
    assert told["guests"]["max_remove"] == {"value": "7", "default": False}
    assert told["guests"]["min_rows"] == {"value": 1, "default": True}
    assert told["vehicles"] == {}
