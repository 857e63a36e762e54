"""Removal guards: an empty source, a large loss of rows or an edited job removes nothing before approval."""

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
    """Run batchsync in this process after a sync of 30 guests."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environ = deployment.environ()

    def run(*arguments: str, expect: int = 0) -> Result:
        result = CliRunner().invoke(main, list(arguments), env=environ)
        assert result.exit_code == expect, result.output
        return result

    write_guests(deployment, range(COUNT))
    run("sync", "guests")
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def write_guests(deployment: Deployment, numbers: range, file: str = "guests.csv") -> None:
    """Write a source that contains these guests."""
    rows = [f"K{number},guest,guest{number}@example.com" for number in numbers]
    (deployment.folder / file).write_text("\n".join(["id,name,email", *rows, ""]), encoding="utf-8")


def edit(deployment: Deployment, old: str, new: str) -> None:
    """Edit jobs.yaml."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def set_guards(deployment: Deployment, text: str) -> None:
    """Add guards to the job guests."""
    edit(deployment, "    on_removed: delete\n", f"    on_removed: delete\n    guards: {text}\n")


def count_deletions(deployment: Deployment) -> int:
    """Return the number of deletions that the vendor received."""
    return [item["mode"] for item in deployment.mocks.ledger(CDP)].count("delete")


def test_empty_source_removes_nothing_until_approved(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    write_guests(deployment, range(5))
    set_guards(deployment, "{max_remove: 100%}")
    batchsync("sync", "guests")
    assert count_deletions(deployment) == COUNT - 5
    write_guests(deployment, range(0))

    assert "the source has no rows" in batchsync("plan", "guests").stdout
    output = batchsync("sync", "guests", expect=6).stdout
    assert "the source has no rows, and the plan would remove 5 of 5 records the target holds" in output
    assert count_deletions(deployment) == COUNT - 5

    batchsync("approve", "guests", "--reason", "the shop closed")
    batchsync("sync", "guests")
    assert count_deletions(deployment) == COUNT
    assert deployment.mocks.store(CDP) == []


def test_empty_source_with_permissive_guards_removes_everything(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    set_guards(deployment, "{max_remove: 100%, min_rows: 0}")
    write_guests(deployment, range(0))
    batchsync("sync", "guests")
    assert count_deletions(deployment) == COUNT


def test_empty_source_of_first_sync_needs_no_approval(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    edit(deployment, "  guests:\n", "  visitors:\n    renamed_from: []\n")
    write_guests(deployment, range(0))
    assert "selected 0" in batchsync("sync", "visitors").stdout


@pytest.mark.parametrize(("left", "expect"), [(COUNT - 10, 0), (COUNT - 11, 6)])
def test_large_loss_of_rows_needs_approval_by_default(
    deployment: Deployment, batchsync: Callable[..., Result], left: int, expect: int
) -> None:
    write_guests(deployment, range(left))
    output = batchsync("sync", "guests", expect=expect).stdout
    assert count_deletions(deployment) == (0 if expect else 10)
    assert ("remove 11 of 30 records the target holds, above max_remove 10 or 5%" in output) == bool(expect)


EDITS: dict[str, tuple[str, str]] = {
    "path": ("path: guests.csv", "path: other.csv"),
    "join": ("path: guests.csv, key: id", "path: guests.csv, key: id, join: [{path: j.csv, on: id}]"),
    "nulls": ("path: guests.csv, key: id", "path: guests.csv, key: id, nulls: [none]"),
    "removal": ("on_removed: delete", "on_removed: gdpr_delete"),
}


@pytest.mark.parametrize("name", EDITS)
def test_removals_after_edit_are_not_sent_until_approved(
    deployment: Deployment, batchsync: Callable[..., Result], name: str
) -> None:
    for file in ("guests.csv", "other.csv"):
        write_guests(deployment, range(COUNT - 2), file)
    (deployment.folder / "j.csv").write_text("id,label\nK1,one\n", encoding="utf-8")
    edit(deployment, *EDITS[name])

    for _ in range(2):
        output = batchsync("sync", "guests", expect=6).stdout
        assert "edited since run guests-1, and the plan would remove 2 of 30 records" in output
    assert len(deployment.mocks.ledger(CDP)) == COUNT

    batchsync("approve", "guests")
    batchsync("sync", "guests")
    assert len(deployment.mocks.ledger(CDP)) == COUNT + 2
    write_guests(deployment, range(COUNT - 3), "other.csv")
    write_guests(deployment, range(COUNT - 3))
    batchsync("sync", "guests")
    assert len(deployment.mocks.ledger(CDP)) == COUNT + 3, "the edit needed approval more than once"


def test_restored_key_definition_removes_nothing_without_approval(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    edit(deployment, "guests.csv, key: id}", "guests.csv, key: email}")
    edit(deployment, "id: =id}]", "id: =email}]")
    batchsync("sync", "guests")
    edit(deployment, "guests.csv, key: email}", "guests.csv, key: id}")
    edit(deployment, "id: =email}]", "id: =id}]")
    write_guests(deployment, range(COUNT - 1))
    batchsync("sync", "guests", expect=6)
    assert count_deletions(deployment) == 0


def test_edit_followed_by_run_with_null_key_still_needs_approval(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    write_guests(deployment, range(COUNT - 2), "other.csv")
    other = deployment.folder / "other.csv"
    complete = other.read_text(encoding="utf-8")
    other.write_text(complete + ",no key,a@b.cd\n", encoding="utf-8")
    edit(deployment, *EDITS["path"])
    batchsync("sync", "guests")
    other.write_text(complete, encoding="utf-8")
    batchsync("sync", "guests", expect=6)
    assert count_deletions(deployment) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("=initcap(name)", "=upper(name)"), ("guestType: customer", "guestType: customer\n      city: Brno")],
)
def test_edit_without_effect_on_removals_needs_no_approval(
    deployment: Deployment, batchsync: Callable[..., Result], old: str, new: str
) -> None:
    edit(deployment, old, new)
    write_guests(deployment, range(COUNT - 2))
    batchsync("sync", "guests")
    assert count_deletions(deployment) == 2


def test_removals_after_edit_are_sent_if_guards_allow_it(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    set_guards(deployment, "{removals_after_edit: send}")
    edit(deployment, *EDITS["path"])
    write_guests(deployment, range(COUNT - 2), "other.csv")
    batchsync("sync", "guests")
    assert count_deletions(deployment) == 2


def test_lost_file_needs_approval_once(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    edit(deployment, "  guests:\n", "  visitors:\n    renamed_from: []\n")
    edit(deployment, "path: guests.csv", 'path: "part-*.csv"')
    for number in range(4):
        write_guests(deployment, range(number * 10, number * 10 + 3), f"part-{number}.csv")
    batchsync("sync", "visitors")
    (deployment.folder / "part-3.csv").rename(deployment.folder / "part-2b.csv")
    batchsync("sync", "visitors")

    (deployment.folder / "part-2b.csv").unlink()
    for _ in range(2):
        batchsync("sync", "visitors", expect=6)
    batchsync("approve", "visitors")
    batchsync("sync", "visitors")
    assert count_deletions(deployment) == 3
    write_guests(deployment, range(2), "part-0.csv")
    batchsync("sync", "visitors")
    assert count_deletions(deployment) == 4

    edit(
        deployment, "    on_removed: delete\n", "    on_removed: delete\n    guards: {removals_after_lost_file: send}\n"
    )
    (deployment.folder / "part-2.csv").unlink()
    batchsync("sync", "visitors")
    assert count_deletions(deployment) == 7


def test_edit_still_needs_approval_after_many_blocked_runs(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    edit(deployment, *EDITS["path"])
    write_guests(deployment, range(COUNT - 2), "other.csv")
    for _ in range(22):
        batchsync("sync", "guests", expect=6)
    assert count_deletions(deployment) == 0


def test_validate_lists_guards_of_each_job(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    lines = batchsync("validate").stdout.splitlines()
    assert "vehicles: no guards; it removes nothing" in lines
    causes = "removals_after_edit hold (default), removals_after_lost_file hold (default)"
    defaults = f"min_rows 1 (default), {causes}"
    assert f"guests: guards: max_remove 10 or 5% (default), {defaults}" in lines
    set_guards(deployment, "{max_remove: 7, max_change: 30%}")
    assert f"guests: guards: max_remove 7, max_change 30%, {defaults}" in batchsync("validate").stdout
    guards: dict[str, Any] = json.loads(batchsync("-o", "json", "validate").stdout)["result"]["guards"]
    assert guards["guests"]["max_remove"] == {"value": "7", "default": False}
    assert guards["guests"]["min_rows"] == {"value": 1, "default": True}
    assert guards["vehicles"] == {}


@pytest.mark.parametrize(("lost", "expect"), [(("b",), 6), (("c",), 6), (("b", "c"), 6), (("a", "b", "c"), 3)])
def test_lost_file_of_glob_removes_nothing_until_approved(
    deployment: Deployment, batchsync: Callable[..., Result], lost: tuple[str, ...], expect: int
) -> None:
    """The files have 100, 20 and 5 rows; a pattern that finds no file at all is an error of the source."""
    edit(deployment, "  guests:\n", "  visitors:\n    renamed_from: []\n")
    edit(deployment, "path: guests.csv", 'path: "part-*.csv"')
    for name, numbers in {"a": range(100), "b": range(100, 120), "c": range(120, 125)}.items():
        write_guests(deployment, numbers, f"part-{name}.csv")
    batchsync("sync", "visitors")
    for name in lost:
        (deployment.folder / f"part-{name}.csv").unlink()

    output = batchsync("sync", "visitors", expect=expect).output
    assert count_deletions(deployment) == 0
    if expect == 6:
        assert f"the source has {3 - len(lost)} of the 3 files that it had in run visitors-1" in output
        assert ("above max_remove 10 or 5%" in output) == ("b" in lost)


def test_max_invalid_holds_run_before_anything_is_sent(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    set_guards(deployment, "{max_invalid: 2}")
    write_guests(deployment, range(COUNT + 1))
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"B{number},bad,no-at-sign\n" for number in range(3))
    requests = len(deployment.mocks.requests())

    output = batchsync("sync", "guests", expect=6).stdout
    assert "3 of 34 selected records are invalid, above max_invalid 2" in output
    assert "max_invalid" in batchsync("-o", "json", "plan", "guests").stdout
    assert {item["method"] for item in deployment.mocks.requests()[requests:]} <= {"GET"}
    assert len(deployment.mocks.ledger(CDP)) == COUNT

    batchsync("approve", "guests")
    batchsync("sync", "guests")
    assert len(deployment.mocks.ledger(CDP)) == COUNT + 1


def test_max_invalid_holds_nothing_if_nothing_is_sent(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    set_guards(deployment, "{max_invalid: 2}")
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"B{number},bad,no-at-sign\n" for number in range(3))
    assert "invalid 3" in batchsync("sync", "guests").stdout
