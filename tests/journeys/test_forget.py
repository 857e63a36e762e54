"""`batchsync forget`: no trace of the key in the state folder, its row is not sent again, others stay unchanged."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from batchsync.journal import Journal
from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment, write_sources
from kit.state_search import files_with

if TYPE_CHECKING:
    from pathlib import Path

REASON = "--reason=request 114"
#: A key that occurs in no other text.
KEY = "jane.roe.7781@people.example"


def state_of(deployment: Deployment) -> Path:
    return deployment.folder / ".batchsync" / "mocks"


def add_guest(deployment: Deployment, key: str = KEY, email: str = "g@example.com") -> None:
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write(f"{key},some one,{email}\n")


def audit(deployment: Deployment) -> tuple[str, ...]:
    with Journal.open(state_of(deployment)) as journal:
        return journal.audit()


def test_forgotten_key_is_in_no_byte_of_the_state_and_not_sent_again(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")
    assert files_with(state_of(deployment), KEY)
    sent = deployment.delivered(CDP)

    report = deployment.json("forget", KEY, "--job=guests", REASON)

    (job,) = report["jobs"]
    assert (job["keys"], job["held_by_vendor"], job["segments"]) == (1, 1, 1)
    assert files_with(state_of(deployment), KEY) == []
    (plan,) = deployment.json("plan", "guests")["jobs"]
    assert (plan["to_send"], plan["suppressed"], plan["unchanged"]) == (0, 1, 29)
    deployment.run("sync", "guests")
    assert deployment.delivered(CDP) == sent
    assert files_with(state_of(deployment), KEY) == []
    settlement = deployment.json("show", "guests")["runs"][0]["settlement"]
    assert settlement["selected"] == 31
    assert settlement["suppressed"] == 1
    assert audit(deployment) == ()


def test_report_says_what_remains_and_shows_no_key(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")

    shown = deployment.run("forget", KEY, REASON)

    assert KEY not in shown
    assert "remains: at Sitecore CDP" in shown
    assert "mode gdpr_delete" in shown
    assert "backups" in shown
    assert "saved plans" in shown


def test_keys_of_a_file_and_of_stdin(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    (deployment.folder / "keys.txt").write_text("G1\nG2\n\nunknown-key\n", encoding="utf-8")

    report = deployment.json("forget", "--from", "keys.txt", REASON)

    assert (report["jobs"][0]["keys"], report["unknown"]) == (2, 1)
    (plan,) = deployment.json("plan", "guests")["jobs"]
    assert (plan["suppressed"], plan["to_send"]) == (2, 0)


def test_key_that_was_never_sent_is_suppressed_if_the_job_is_named(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("forget", KEY, REASON, expect=2)

    deployment.run("forget", KEY, "--job=guests", REASON)

    deployment.run("sync", "guests")
    assert files_with(state_of(deployment), KEY) == []
    assert not any(KEY in name for name in deployment.delivered(CDP))


def test_invalid_and_rejected_rows_of_the_key_are_erased(deployment: Deployment) -> None:
    add_guest(deployment, KEY, "no-at-sign")
    add_guest(deployment, f"MOCK-SERVER-ERROR-{KEY}")
    deployment.run("sync", "guests")
    assert any(row["key"] == KEY for row in deployment.json("rejects", "guests")["rejects"])

    deployment.run("forget", KEY, REASON)
    deployment.run("forget", f"MOCK-SERVER-ERROR-{KEY}", REASON)

    assert files_with(state_of(deployment), KEY) == []
    deployment.run("sync", "guests")
    assert files_with(state_of(deployment), KEY) == []
    settlement = deployment.json("show", "guests")["runs"][0]["settlement"]
    assert (settlement["suppressed"], settlement["invalid"]) == (2, 1)


def test_results_of_a_lookup_lose_the_answer(deployment: Deployment) -> None:
    with (deployment.folder / "vehicles.csv").open("a", encoding="utf-8") as file:
        file.write(f"{KEY},1HGCM82633A099999,,\n")
    deployment.run("sync", "vehicles")
    assert KEY in deployment.results("out/vehicles.csv").read_text("utf-8")

    report = deployment.json("forget", KEY, REASON)

    assert report["jobs"][0]["answers"] == 1
    assert files_with(state_of(deployment), KEY) == []
    assert "V1," in deployment.results("out/vehicles.csv").read_text("utf-8")
    sent = deployment.delivered(BDP)
    deployment.run("sync", "vehicles")
    assert deployment.delivered(BDP) == sent


def test_refused_while_the_key_is_in_an_open_batch(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=503, times=0))
    deployment.run("sync", "guests", "--no-wait", expect=5)

    deployment.run("forget", KEY, REASON, expect=5)

    assert "is open" in (deployment.folder / "last.log").read_text("utf-8")
    assert KEY not in (deployment.folder / "last.log").read_text("utf-8")
    deployment.mocks.disarm()
    deployment.run("resume", "guests")
    deployment.run("forget", KEY, REASON)
    assert files_with(state_of(deployment), KEY) == []


def test_kept_batch_files_are_erased(deployment: Deployment) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text("utf-8") + "retention: {batch_files: 7d}\n", encoding="utf-8")
    deployment.run("sync", "guests")
    add_guest(deployment)
    deployment.run("sync", "guests")
    kept = files_with(state_of(deployment), KEY)
    assert sum(name.startswith("staging/") for name in kept) == 2
    assert len(files_with(state_of(deployment), "G12")) > 2

    report = deployment.json("forget", KEY, REASON)

    assert report["jobs"][0]["files"] == 2
    assert files_with(state_of(deployment), KEY) == []
    assert any(name.startswith("staging/") for name in files_with(state_of(deployment), "G12"))


def test_secret_of_the_hashes_is_private_and_must_not_be_lost(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, REASON)
    secret = state_of(deployment) / "forget.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    sent = deployment.delivered(CDP)

    content = secret.read_text("ascii")
    for damage in (secret.unlink, lambda: secret.write_text(f"{'0' * 64}\n"), lambda: secret.write_text("x")):
        damage()
        deployment.run("sync", "guests", expect=3)
        assert "forget.key" in (deployment.folder / "last.log").read_text("utf-8")
        assert deployment.delivered(CDP) == sent
        deployment.run("forget", "G3", REASON, expect=3)
    secret.write_text(content)
    deployment.run("sync", "guests")
    assert deployment.delivered(CDP) == sent


def test_revoked_key_is_sent_again(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, REASON)

    deployment.run("forget", KEY, "--revoke", REASON)

    (plan,) = deployment.json("plan", "guests")["jobs"]
    assert (plan["add"], "suppressed" in plan) == (1, False)


def test_forgotten_key_that_leaves_the_source_sends_no_removal(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, REASON)
    write_sources(deployment.folder)

    (plan,) = deployment.json("plan", "guests")["jobs"]

    assert (plan["remove"], plan["to_send"]) == (0, 0)


def test_renamed_job_keeps_its_tombstones(deployment: Deployment) -> None:
    add_guest(deployment)
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, REASON)
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text("utf-8").replace("  guests:\n", "  people:\n    renamed_from: guests\n")
    jobs.write_text(text, encoding="utf-8")
    deployment.run("sync", "people")
    jobs.write_text(text.replace("    renamed_from: guests\n", ""), encoding="utf-8")

    (plan,) = deployment.json("plan", "people")["jobs"]

    assert (plan["suppressed"], plan["to_send"]) == (1, 0)


@pytest.mark.parametrize("text", ["", f"as {KEY} asked"])
def test_reason_is_required_and_names_no_key(deployment: Deployment, text: str) -> None:
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, "--job=guests", f"--reason={text}", expect=2)
    assert KEY not in (deployment.folder / "last.log").read_text("utf-8")


@pytest.mark.parametrize("mode", ["gdpr_delete", "delete"])
def test_delivered_gdpr_delete_implies_forget(deployment: Deployment, mode: str) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text("utf-8").replace("on_removed: delete", f"on_removed: {mode}"), encoding="utf-8")
    add_guest(deployment)
    deployment.run("sync", "guests")
    write_sources(deployment.folder)

    deployment.run("sync", "guests")

    assert sum("gdpr_delete" in name for name in deployment.delivered(CDP)) == (mode == "gdpr_delete")
    assert bool(files_with(state_of(deployment), KEY)) == (mode == "delete")
    add_guest(deployment)
    (plan,) = deployment.json("plan", "guests")["jobs"]
    assert plan["add"] == (mode == "delete")
    assert plan.get("suppressed", 0) == (mode == "gdpr_delete")
    assert audit(deployment) == ()


def test_gdpr_delete_of_a_list_of_keys_is_forgotten_and_not_repeated(deployment: Deployment) -> None:
    """A job whose source lists the keys is the way to remove at the vendor what was forgotten here."""
    add_guest(deployment)
    deployment.run("sync", "guests")
    deployment.run("forget", KEY, REASON)
    (deployment.folder / "erase.csv").write_text(f"id\n{KEY}\n", encoding="utf-8")
    with (deployment.folder / "jobs.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "  erasures:\n    source: {path: erase.csv, key: id}\n    target: {connection: sitecore, schema: guest}\n"
            "    mode: gdpr_delete\n    record:\n      identifiers: [{provider: CRM, id: =id}]\n    renamed_from: []\n"
        )

    deployment.run("sync", "erasures")

    erased = {name: count for name, count in deployment.delivered(CDP).items() if name.startswith("gdpr_delete")}
    assert list(erased.values()) == [1]
    assert files_with(state_of(deployment), KEY) == []
    deployment.run("sync", "erasures")
    assert {name: count for name, count in deployment.delivered(CDP).items() if name in erased} == erased
