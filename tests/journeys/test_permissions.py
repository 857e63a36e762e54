"""`sync --allow` lets one run exceed a guard up to a limit; the reason is kept with the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.planned import PLAN, edit, sent, stderr, write_guests

if TYPE_CHECKING:
    from kit.deployment import Deployment

COUNT = 30


@pytest.fixture
def shrunk(deployment: Deployment) -> Deployment:
    """A deployment that delivered 30 guests, of which 20 left the source."""
    write_guests(deployment, *range(COUNT))
    deployment.run("sync", "guests")
    write_guests(deployment, *range(10))
    return deployment


def deletions(deployment: Deployment) -> int:
    """Return the number of removals that the vendor received."""
    return sum(item.startswith("delete ") for item in sent(deployment))


def test_permission_is_for_one_run_and_kept_with_its_reason(shrunk: Deployment) -> None:
    shrunk.run("sync", "guests", expect=6)

    shrunk.run("sync", "guests", "--allow", "max_remove=20", "--reason", "old accounts were closed")

    assert deletions(shrunk) == 20
    run = shrunk.json("show", "guests")["runs"][0]
    assert run["reason"] == "allowed for this run: max_remove 20, because: old accounts were closed"
    assert run["reason"] in shrunk.run("status", "guests")
    write_guests(shrunk)
    shrunk.run("sync", "guests", expect=6)
    assert deletions(shrunk) == 20


def test_plan_beyond_the_allowed_limit_awaits_approval(shrunk: Deployment) -> None:
    output = shrunk.run("sync", "guests", "--allow", "max_remove=19", "--reason", "x", expect=6)
    assert "remove 20 of 30 records the target holds, above max_remove 19" in output
    assert deletions(shrunk) == 0


def test_permission_does_not_lower_the_limit_of_the_job(shrunk: Deployment) -> None:
    edit(shrunk, "    on_removed: delete\n", "    on_removed: delete\n    guards: {max_remove: 25}\n")
    shrunk.run("sync", "guests", "--allow", "max_remove=5", "--reason", "x")
    assert deletions(shrunk) == 20
    assert shrunk.json("show", "guests")["runs"][0]["reason"] == ""


def test_other_guards_stay_in_force(shrunk: Deployment) -> None:
    edit(shrunk, "{path: guests.csv, key: id}", "{path: other.csv, key: id}")
    (shrunk.folder / "guests.csv").rename(shrunk.folder / "other.csv")
    output = shrunk.run("sync", "guests", "--allow", "max_remove=20", "--reason", "x", expect=6)
    assert "on_removed of the job was edited" in output
    shrunk.run("sync", "guests", "--allow", "max_remove=20", "--allow", "removals_after_edit=send", "--reason", "moved")
    assert deletions(shrunk) == 20


def test_permission_of_an_empty_source_and_of_percentages(shrunk: Deployment) -> None:
    write_guests(shrunk)
    shrunk.run("sync", "guests", "--allow", "max_remove=100%", "--reason", "x", expect=6)
    shrunk.run("sync", "guests", "--allow", "max_remove=100%", "--allow", "min_rows=0", "--reason", "closed")
    assert deletions(shrunk) == COUNT


def test_permission_applies_to_a_plan_file(shrunk: Deployment) -> None:
    shrunk.run("plan", "guests", "--out", PLAN)
    shrunk.run("sync", "--plan", PLAN, expect=6)
    shrunk.run("sync", "guests", "--plan", PLAN, "--allow", "max_remove=20", "--reason", "reviewed")
    assert deletions(shrunk) == 20
    assert "allowed for this run: max_remove 20, because: reviewed" in shrunk.run("show", "guests")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["guests", "--allow", "max_remove=20"], "needs a reason"),
        (["guests", "--allow", "max_remove=20", "--reason", " "], "needs a reason"),
        (["guests", "--allow", "max_remove=20", "--reason", "x" * 501], "at most 500 characters"),
        (["--allow", "max_remove=20", "--reason", "x"], "needs the names of the jobs"),
        (["guests", "--allow", "max_removed=20", "--reason", "x"], 'no guard "max_removed"'),
        (["guests", "--allow", "freshness=20", "--reason", "x"], 'no guard "freshness"'),
        (["guests", "--allow", "max_remove", "--reason", "x"], "a number, or a percentage"),
        (["guests", "--allow", "max_remove=-1", "--reason", "x"], "a number, or a percentage"),
        (["guests", "--allow", "max_remove=101%", "--reason", "x"], "a number, or a percentage"),
        (["guests", "--allow", "min_rows=5%", "--reason", "x"], "the limit is a number"),
        (["guests", "--allow", "removals_after_edit=hold", "--reason", "x"], "removals_after_edit=send"),
        (["guests", "--allow", "max_remove=1", "--allow", "max_remove=2", "--reason", "x"], "is given twice"),
        (["guests", "--reason", "x"], "--reason belongs to --allow"),
    ],
)
def test_invalid_permissions_are_refused(deployment: Deployment, arguments: list[str], message: str) -> None:
    deployment.run("sync", *arguments, expect=2)
    assert message in stderr(deployment)
    assert sent(deployment) == []
