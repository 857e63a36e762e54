"""`batchsync state list`, `show`, `mv` and `rm`, run as commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.deployment import CDP, write_sources

if TYPE_CHECKING:
    from kit.deployment import Deployment


def log_of(deployment: Deployment) -> str:
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def state_of(deployment: Deployment, job: str) -> dict[str, Any]:
    found: dict[str, Any] = deployment.json("state", "show", job)["jobs"][0]
    return found


def rename(deployment: Deployment, old: str, new: str) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text(encoding="utf-8").replace(f"  {old}:\n", f"  {new}:\n"), encoding="utf-8")


def test_state_of_each_job_is_listed_with_sizes(deployment: Deployment) -> None:
    write_sources(deployment.folder)
    assert deployment.json("state", "list")["jobs"] == []
    deployment.run("sync", "guests")
    (job,) = deployment.json("state", "list")["jobs"]
    assert (job["job"], job["declared"], job["runs"], job["open_batches"]) == ("guests", True, 1, [])
    assert job["baselines"][0]["entries"] == 29
    assert job["baseline_bytes"] > 0
    assert state_of(deployment, "guests") == job
    text = deployment.run("state", "list")
    assert "guests" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert "29 entries in 1 segment" in deployment.run("state", "show", "guests")
    deployment.run("state", "show", "gests", expect=2)
    assert 'did you mean "guests"?' in log_of(deployment)


def test_moved_state_is_that_of_the_new_name(deployment: Deployment) -> None:
    write_sources(deployment.folder)
    deployment.run("sync", "guests")
    moved = deployment.json("state", "mv", "guests", "people")
    assert (moved["baselines"], moved["entries"]) == (1, 29)
    rename(deployment, "guests", "people")
    assert deployment.json("plan", "people")["to_send"] == 0
    before = deployment.delivered(CDP)
    deployment.run("sync", "people")
    assert deployment.delivered(CDP) == before
    former = state_of(deployment, "guests")
    assert (former["declared"], former["baselines"], former["baseline_bytes"]) == (False, [], 0)
    deployment.run("state", "mv", "guests", "others", expect=2)
    assert "nothing was moved" in log_of(deployment)


def test_state_is_not_moved_over_another_state_or_to_no_name(deployment: Deployment) -> None:
    write_sources(deployment.folder)
    deployment.run("sync", "guests")
    deployment.run("state", "mv", "guests", "guests", expect=2)
    deployment.run("state", "mv", "guests", "My Guests", expect=2)
    rename(deployment, "guests", "people")
    deployment.run("sync", "people", expect=2)
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("  people:\n", "  people:\n    renamed_from: []\n"))
    deployment.run("sync", "people")
    deployment.run("state", "mv", "guests", "people", expect=2)
    assert "has a baseline at the same account already" in log_of(deployment)


def test_removed_state_is_sent_again_and_recorded(deployment: Deployment) -> None:
    write_sources(deployment.folder)
    deployment.run("sync", "guests")
    deployment.run("state", "rm", "guests", "--reason", "sandbox was emptied", expect=2)
    assert "add --yes" in log_of(deployment)
    deployment.run("state", "rm", "guests", "--reason", " ", "--yes", expect=2)
    removed = deployment.json("state", "rm", "guests", "--reason", "sandbox was emptied", "--yes")
    assert (removed["entries"], removed["runs"]) == (29, ["guests-2"])
    assert state_of(deployment, "guests")["baselines"] == []
    newest = deployment.json("history")["runs"][0]
    assert (newest["run"], newest["reason"]) == ("guests-2", "state removed: sandbox was emptied")
    assert deployment.json("plan", "guests")["to_send"] == 29
    deployment.run("sync", "guests")
    assert max(deployment.delivered(CDP).values()) == 2
    assert deployment.json("plan", "guests")["to_send"] == 0
    deployment.run("state", "rm", "checks", "--reason", "x", "--yes", expect=2)


def test_state_with_open_batches_is_neither_moved_nor_removed(deployment: Deployment) -> None:
    write_sources(deployment.folder)
    deployment.run("sync", "guests", "--no-wait", expect=5)
    for command in (["mv", "guests", "people"], ["rm", "guests", "--reason", "x", "--yes"]):
        deployment.run("state", *command, expect=2)
    assert state_of(deployment, "guests")["open_batches"]
    deployment.run("resume")
    assert deployment.json("state", "rm", "guests", "--reason", "x", "--yes")["entries"] == 29


def test_removed_state_with_since_sends_every_row_again(deployment: Deployment) -> None:
    rows = ["id,name,email,at", *(f"G{n},g,g{n}@example.com,2026-01-{n + 10}" for n in range(5))]
    (deployment.folder / "guests.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("    on_removed: delete\n", "    send: {since: at}\n"))
    deployment.run("sync", "guests")
    assert deployment.json("plan", "guests")["to_send"] == 0
    deployment.run("state", "rm", "guests", "--reason", "sandbox was emptied", "--yes")
    assert deployment.json("plan", "guests")["to_send"] == 5
