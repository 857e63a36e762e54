"""Answers of a lookup whose keys left the source are kept, removed or marked, as `results: {on_removed: ...}` says."""

from __future__ import annotations

import csv
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import kit.deployment
from batchsync.cli import main
from kit.deployment import BDP

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = "out/vehicles.csv"


class Deployment(kit.deployment.Deployment):
    """A deployment whose command line runs in this process."""

    def run(self, *arguments: str, expect: int = 0, timeout: float = 60) -> str:
        """Run batchsync to its end, check its exit code, and return what it printed on stdout."""
        assert timeout, "a command in this process has no time limit"
        done = CliRunner().invoke(main, list(arguments), env=self.environ())
        (self.folder / "last.log").write_text(done.output, encoding="utf-8")
        assert done.exit_code == expect, done.output
        return done.stdout


@pytest.fixture
def deployment(deployment: kit.deployment.Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Return the deployment of the test, in whose folder this process runs."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Deployment(deployment.folder, deployment.mocks)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def set_up(deployment: Deployment, on_removed: str, *, old: str = "{path: out/vehicles.csv}") -> str:
    """Set `on_removed` of the results, and return the block."""
    jobs, new = deployment.folder / "jobs.yaml", f"{{path: {RESULTS}, on_removed: {on_removed}}}"
    text = jobs.read_text(encoding="utf-8")
    assert old in text
    jobs.write_text(text.replace(old, new), encoding="utf-8")
    return new


def keep_rows(deployment: Deployment, *numbers: int) -> None:
    """Write a source of the vehicles with these numbers (1 to 19 are answered) alone, as they were at first."""
    original = deployment.folder / "all-vehicles.csv"
    source = deployment.folder / "vehicles.csv"
    if not original.exists():
        original.write_bytes(source.read_bytes())
    header, *rows = original.read_text(encoding="utf-8").splitlines()
    chosen = [row for row in rows if int(row.split(",")[0].removeprefix("V")) in numbers]
    source.write_text("\n".join([header, *chosen, ""]), encoding="utf-8")


def answers(deployment: Deployment) -> dict[str, dict[str, str]]:
    with deployment.results(RESULTS).open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def sent(deployment: Deployment) -> int:
    return len(deployment.mocks.ledger(BDP))


def ids(*numbers: int) -> set[str]:
    return {f"V{number}" for number in numbers}


def sync(deployment: Deployment, expect: int = 0) -> str:
    return deployment.run("sync", "vehicles", expect=expect)


ALL = range(1, 20)


@pytest.mark.parametrize("setting", [None, "keep"])
def test_answers_are_kept_by_default(deployment: Deployment, setting: str | None) -> None:
    if setting:
        set_up(deployment, setting)
    sync(deployment)
    before = deployment.results(RESULTS).read_bytes()
    keep_rows(deployment, 1)

    sync(deployment)

    assert deployment.results(RESULTS).read_bytes() == before


def test_answers_are_removed_and_requested_again_when_the_key_returns(deployment: Deployment) -> None:
    set_up(deployment, "remove")
    keep_rows(deployment, *ALL)
    sync(deployment)
    first = answers(deployment)
    keep_rows(deployment, *ALL[2:])

    planned = deployment.run("plan", "vehicles")
    assert "answers removed from the results, because their keys left the source: 2 records" in planned
    assert answers(deployment) == first

    sync(deployment)
    assert set(answers(deployment)) == ids(*ALL[2:])
    assert sent(deployment) == 19
    content = deployment.results(RESULTS).read_bytes()
    sync(deployment)
    assert deployment.results(RESULTS).read_bytes() == content

    keep_rows(deployment, *ALL)
    sync(deployment)
    assert answers(deployment).keys() == first.keys()
    assert answers(deployment)["V1"]["mockCheckedAt"] > first["V1"]["mockCheckedAt"]
    assert sent(deployment) == 21


def test_marked_answers_are_unmarked_without_a_request_when_the_key_returns(deployment: Deployment) -> None:
    set_up(deployment, "mark")
    keep_rows(deployment, *ALL)
    sync(deployment)
    assert "removed_at" not in answers(deployment)["V1"]
    keep_rows(deployment)

    sync(deployment)
    marked = answers(deployment)
    assert len(marked) == 19
    assert all(row["removed_at"].endswith("+00:00") for row in marked.values())
    deployment.mocks.advance(3600)
    sync(deployment)
    assert answers(deployment) == marked

    keep_rows(deployment, *ALL[1:])
    sync(deployment)
    after = answers(deployment)
    assert {key for key, row in after.items() if row["removed_at"]} == {"V1"}
    assert after["V1"] == marked["V1"]
    assert sent(deployment) == 19


@pytest.mark.parametrize(
    ("kept", "guards", "message"),
    [
        ((), "{max_remove: 100%}", "the source has no rows, and the plan would remove 19 of 19 answers in the results"),
        (ALL[11:], "{}", "the plan would remove 11 of 19 answers in the results, above max_remove 10 or 5%"),
        (ALL[1:], "{max_remove: 0}", "the plan would remove 1 of 19 answers in the results, above max_remove 0"),
    ],
)
def test_large_loss_awaits_approval(deployment: Deployment, kept: tuple[int, ...], guards: str, message: str) -> None:
    block = set_up(deployment, "remove")
    set_up_text = f"{block}\n    guards: {guards}"
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text(encoding="utf-8").replace(block, set_up_text), encoding="utf-8")
    keep_rows(deployment, *ALL)
    sync(deployment)
    before = deployment.results(RESULTS).read_bytes()
    keep_rows(deployment, *kept)

    for _ in range(2):
        assert message in sync(deployment, expect=6)
        assert deployment.results(RESULTS).read_bytes() == before
    deployment.run("approve", "vehicles", "--reason", "sold")
    sync(deployment)

    assert set(answers(deployment)) == ids(*kept)
    sync(deployment)


def test_approval_covers_those_answers_alone(deployment: Deployment) -> None:
    set_up(deployment, "remove")
    keep_rows(deployment, *ALL)
    sync(deployment)
    keep_rows(deployment, *ALL[11:])
    sync(deployment, expect=6)
    deployment.run("approve", "vehicles", "--reason", "sold")
    keep_rows(deployment, *ALL[:8])

    sync(deployment, expect=6)

    assert len(answers(deployment)) == 19


def test_first_removal_after_an_edit_awaits_approval(deployment: Deployment) -> None:
    keep_rows(deployment, *ALL)
    sync(deployment)
    set_up(deployment, "remove")
    keep_rows(deployment, *ALL[1:])

    assert "the plan would remove 1 of 19 answers in the results" in sync(deployment, expect=6)

    assert len(answers(deployment)) == 19


@pytest.mark.parametrize("on_removed", ["remove", "mark"])
def test_nothing_is_removed_if_rows_have_no_key(deployment: Deployment, on_removed: str) -> None:
    set_up(deployment, on_removed)
    keep_rows(deployment, *ALL)
    sync(deployment)
    before = deployment.results(RESULTS).read_bytes()
    keep_rows(deployment, *ALL[1:])
    with (deployment.folder / "vehicles.csv").open("a", encoding="utf-8") as file:
        file.write(",1HGCM82633A004352,,\n")

    assert "rows without a key, so no answer is removed or marked" in deployment.run("plan", "vehicles")
    sync(deployment)

    assert deployment.results(RESULTS).read_bytes() == before


def test_invalid_row_keeps_its_answer(deployment: Deployment) -> None:
    set_up(deployment, "remove")
    keep_rows(deployment, *ALL)
    sync(deployment)
    source = deployment.folder / "vehicles.csv"
    header, first, *rest = source.read_text(encoding="utf-8").splitlines()
    source.write_text("\n".join([header, f"{first.split(',')[0]},,,", *rest, ""]), encoding="utf-8")

    sync(deployment)

    assert set(answers(deployment)) == ids(*ALL)


def test_row_in_flight_keeps_its_answer_until_it_is_delivered(deployment: Deployment) -> None:
    set_up(deployment, "remove")
    keep_rows(deployment, *ALL)
    sync(deployment)
    source = deployment.folder / "vehicles.csv"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("V1,1HGCM82633A000001", "V1,1HGCM82633A999999"), encoding="utf-8")
    deployment.run("sync", "vehicles", "--no-wait", expect=5)
    keep_rows(deployment, *ALL[1:])

    deployment.run("sync", "vehicles", "--no-wait", expect=5)
    assert set(answers(deployment)) == ids(*ALL)
    sync(deployment)

    assert set(answers(deployment)) == ids(*ALL[1:])
    assert sent(deployment) == 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("    mode: lookup\n", "    mode: lookup\n    send: {since: plate}\n"), "cannot detect keys"),
        (("source: {path: vehicles.csv, key: id}", "source: {job: other, key: id}"), "the results of another job"),
        (("on_removed: mark", "on_removed: delete"), "delete"),
    ],
)
def test_setting_is_refused_where_absence_proves_nothing(
    deployment: Deployment, change: tuple[str, str], reason: str
) -> None:
    set_up(deployment, "mark")
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8")
    assert change[0] in text
    jobs.write_text(text.replace(*change), encoding="utf-8")

    deployment.run("validate", expect=2)

    problems = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert reason in problems
    assert "on_removed" in problems


def test_guards_of_the_job_are_listed_with_their_defaults(deployment: Deployment) -> None:
    assert "vehicles: no guards; it removes nothing" in deployment.run("validate")
    set_up(deployment, "mark")
    assert "vehicles: no guards; it removes nothing" in deployment.run("validate")
    set_up(deployment, "remove", old=f"{{path: {RESULTS}, on_removed: mark}}")
    assert "vehicles: guards: max_remove 10 or 5% (default)" in deployment.run("validate")
