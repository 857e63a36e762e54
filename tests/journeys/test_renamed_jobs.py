"""A job or connection under another name: nothing is sent again, and batches in flight end under their own name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync.journal import Journal
from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: job, its vendor and a new name for it
JOBS = (("guests", CDP, "visitors"), ("vehicles", BDP, "cars"))


def rename(deployment: Deployment, job: str, name: str, line: str = "") -> None:
    """Rename a job in jobs.yaml, with a line in its block."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    former, count = re.subn(
        rf"^  {job}:\n", f"  {name}:\n" + (f"    {line}\n" if line else ""), text, flags=re.MULTILINE
    )
    assert count == 1
    file.write_text(former, encoding="utf-8")


def log(deployment: Deployment) -> str:
    """Return the output of the last command."""
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("job", "vendor", "name"), JOBS)
@pytest.mark.parametrize("line", ["renamed_from: {job}", "renamed_from: [never-run, {job}]"])
def test_renamed_job_takes_over_baseline(deployment: Deployment, job: str, vendor: str, name: str, line: str) -> None:
    deployment.run("sync", job)
    before = deployment.delivered(vendor)
    rename(deployment, job, name, line.format(job=job))

    assert f"{name}: (nothing to send)" in deployment.run("plan", name)
    assert "accepted 0" in deployment.run("sync", name)
    assert f"{name}: (nothing to send)" in deployment.run("plan", name)

    assert deployment.delivered(vendor) == before


def test_job_is_renamed_again_before_it_ran(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    rename(deployment, "guests", "visitors", "renamed_from: guests")
    deployment.run("sync", "visitors")
    rename(deployment, "visitors", "people", "renamed_from: [visitors, guests]")
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace("    renamed_from: guests\n", "")
    file.write_text(text, encoding="utf-8")

    deployment.run("sync", "people")
    rename(deployment, "people", "guests", "renamed_from: people")
    file.write_text(file.read_text(encoding="utf-8").replace("    renamed_from: [visitors, guests]\n", ""))
    deployment.run("sync", "guests")

    assert set(deployment.delivered(CDP).values()) == {1}
    assert "guests: (nothing to send)" in deployment.run("plan", "guests")


@pytest.mark.parametrize(("job", "vendor", "name"), JOBS)
@pytest.mark.parametrize("stop", ["in flight", "upload in doubt", "killed while allocating"])
@pytest.mark.parametrize("then", ["sync", "resume"])
def test_open_batches_end_under_the_former_name(
    deployment: Deployment, job: str, vendor: str, name: str, stop: str, then: str
) -> None:
    if stop == "in flight":
        deployment.run("sync", job, "--no-wait", expect=5)
    elif stop == "upload in doubt":
        deployment.kill_during(vendor, "PUT", "^/_storage", "sync", job)
    else:
        path = "^/v2/batches/" if vendor == CDP else "^/batch/v1/batches$"
        deployment.kill_during(vendor, "PUT" if vendor == CDP else "POST", path, "sync", job)
    rename(deployment, job, name, f"renamed_from: {job}")

    deployment.run(then, name)
    deployment.run("sync")

    assert {count for row, count in deployment.delivered(vendor).items() if row} == {1}
    assert deployment.json("status")["open"] == []
    assert f"{name}: (nothing to send)" in deployment.run("plan", name)


def test_open_batches_of_former_name_delay_the_job_without_waiting(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    rename(deployment, "guests", "visitors", "renamed_from: guests")

    assert "visitors: (nothing to send)" in deployment.run("plan", "visitors")
    deployment.run("sync", "visitors", "--no-wait", expect=5)

    assert 'waits for 1 open batch of its former name "guests"' in log(deployment)
    assert "`batchsync resume visitors`" in log(deployment)
    assert "not in the jobs file" not in log(deployment)
    deployment.run("resume", "visitors")
    deployment.run("sync")
    assert set(deployment.delivered(CDP).values()) == {1}


def test_parked_batch_of_former_name_is_ended_by_its_commands(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="lose_answer", vendor=CDP, method="PUT", path="/_storage", times=0))
    deployment.mocks.arm(Fault(kind="vanish", vendor=CDP, method="GET", path="/inspect/", times=0))
    deployment.run("sync", "guests", expect=8)
    deployment.mocks.disarm()
    rename(deployment, "guests", "visitors", "renamed_from: guests")

    deployment.run("sync", "visitors", "--no-wait", expect=8)
    assert "`batchsync status guests`" in log(deployment)
    deployment.run("status", "guests", expect=8)
    deployment.run("resume", "guests")
    deployment.run("sync", "visitors")

    assert set(deployment.delivered(CDP).values()) == {1}


@pytest.mark.parametrize(("answer", "sent"), [("resolve --delivered", 0), ("resolve --resend", 29), ("collect", 0)])
def test_unknown_rows_are_resolved_in_the_baseline_that_was_taken_over(
    deployment: Deployment, answer: str, sent: int
) -> None:
    lost = Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=404, times=0)
    deployment.mocks.arm(lost)
    deployment.run("sync", "guests", expect=8)
    deployment.mocks.disarm()
    rename(deployment, "guests", "visitors", "renamed_from: guests")
    deployment.run("sync", "visitors", expect=8)
    (batch,) = deployment.json("status", "visitors", expect=8)["jobs"][0]["unresolved"]

    command, *options = answer.split()
    assert "sync visitors" in deployment.run(command, batch, *options)

    assert f"accepted {sent} " in deployment.run("sync", "visitors")
    assert len(deployment.mocks.batches(CDP)) == 1 + bool(sent)
    assert deployment.json("status")["jobs"][0]["unresolved"] == []


@pytest.mark.parametrize(("job", "vendor", "name"), JOBS)
@pytest.mark.parametrize("command", ["sync", "plan"])
@pytest.mark.parametrize("left", ["a baseline", "an open batch"])
def test_new_job_at_the_target_of_a_removed_one_asks(
    deployment: Deployment, job: str, vendor: str, name: str, command: str, left: str
) -> None:
    if left == "a baseline":
        deployment.run("sync", job)
    else:
        deployment.run("sync", job, "--no-wait", expect=5)
    before = deployment.delivered(vendor)
    rename(deployment, job, name)

    deployment.run(command, name, expect=2)

    assert re.search(rf'jobs.yaml:\d+:\d+: job "{name}" is new, and sends to the target of "{job}"', log(deployment))
    assert f"`renamed_from: {job}`" in log(deployment)
    assert "`renamed_from: []`" in log(deployment)
    assert deployment.delivered(vendor) == before


def test_another_job_at_the_target_of_a_removed_one_is_declared_by_an_empty_list(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    rename(deployment, "guests", "visitors", "renamed_from: []")

    assert "accepted 29" in deployment.run("sync", "visitors")
    # The answer is needed once: the job has a history of its own then.
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("    renamed_from: []\n", ""), encoding="utf-8")
    deployment.run("sync", "visitors")


def test_jobs_at_other_targets_are_not_asked(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("  guests:")], encoding="utf-8")

    deployment.run("sync", "vehicles")


def test_rename_and_edit_in_one_change_keep_the_guards_of_removals(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    rows = (deployment.folder / "guests.csv").read_text(encoding="utf-8")
    fewer = rows.replace("G1,guest 1,guest1@example.com\n", "")
    (deployment.folder / "other.csv").write_text(fewer, encoding="utf-8")
    rename(deployment, "guests", "visitors", "renamed_from: guests")
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("path: guests.csv", "path: other.csv"), encoding="utf-8")

    deployment.run("sync", "visitors", expect=6)


def test_changes_and_removals_of_a_renamed_job_are_sent(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    rows = deployment.folder / "guests.csv"
    text = rows.read_text(encoding="utf-8").replace("G1,guest 1,guest1@example.com\n", "")
    rows.write_text(text.replace("guest 2,", "guest two,"), encoding="utf-8")
    rename(deployment, "guests", "visitors", "renamed_from: guests")

    assert "0 added, 1 changed, 1 removed" in deployment.run("sync", "visitors")


def test_served_job_is_renamed_with_a_batch_in_flight(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    rename(deployment, "guests", "visitors", "renamed_from: guests\n    schedule: {every: 1d}")

    for _ in range(8):
        deployment.mocks.advance(600)
        deployment.run("serve", "--once", "visitors")

    assert deployment.json("status")["open"] == []
    assert set(deployment.delivered(CDP).values()) == {1}


@pytest.mark.parametrize("line", ["", "    renamed_from: sitecore\n"])
def test_renamed_connection_sends_nothing(deployment: Deployment, line: str) -> None:
    deployment.run("sync", "guests")
    before = deployment.delivered(CDP)
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace("  sitecore:\n", f"  cdp:\n{line}")
    file.write_text(text.replace("connection: sitecore", "connection: cdp"), encoding="utf-8")

    deployment.run("sync", "guests")

    assert deployment.delivered(CDP) == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("renamed_from: vehicles", 'job "vehicles" is still declared'),
        ("renamed_from: visitors", 'job "visitors" is still declared'),
        ("renamed_from: [Gäste]", "invalid former names"),
        ("renamed_from: 3", "invalid former names"),
        ("renamed_from: [guests, guests]", "duplicate former name"),
    ],
)
def test_wrong_former_names_are_refused(deployment: Deployment, line: str, message: str) -> None:
    rename(deployment, "guests", "visitors", line)

    deployment.run("validate", expect=2)

    assert message in log(deployment)


def test_former_name_belongs_to_one_job(deployment: Deployment) -> None:
    rename(deployment, "guests", "visitors", "renamed_from: people")
    rename(deployment, "vehicles", "cars", "renamed_from: [people]")

    deployment.run("validate", expect=2)

    assert 'job "cars" is also renamed from "people"' in log(deployment)


def test_journal_of_a_renamed_job_is_consistent(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    rename(deployment, "guests", "visitors", "renamed_from: guests")
    deployment.run("sync", "visitors")

    with Journal.open(deployment.folder / ".batchsync" / "mocks", read_only=True) as journal:
        assert journal.audit() == ()
        assert journal.baselines("guests") == ()
        assert len(journal.baselines("visitors")) == 1
    assert "accepted" in deployment.run("history")
    assert "visitors" in deployment.run("why", "G2")
