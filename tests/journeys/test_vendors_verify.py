"""`batchsync vendors verify`: consent, one test batch, a verdict per fact; mocks refute single facts."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

VEHICLES = "FleetId,vin,plate,state\nF1,1HGCM82633A004352,,\nF2,MCK40400000000001,,\n"
GUESTS = (
    "CustomerKey,FirstName,LastName,Email,Country\n"
    "K-77,NOAM,SAMPLE,noam.secret@example.com,IE\n"
    "MOCK-SERVER-ERROR-1,ZOFIE,VOORBEELD,zofie.secret@example.org,NZ\n"
)
#: Switches of the mocks that refute a single fact each.
REFUTING: dict[str, dict[str, tuple[str, Any]]] = {
    BDP: {
        "create": ("create_status", 200),
        "services-shape": ("services", "wrapped"),
        "prefixes": ("prefix", "/batch/v1"),
        "list": ("list_batches", False),
        "upload-url": ("url_lifetime", 3600),
        "error-bodies": ("error_body", "html"),
        "status-by-batch": ("status_by", "reports"),
        "errors-csv": ("errors_by", "json"),
    },
    CDP: {
        "upload-md5": ("signature", "v2"),
        "log": ("log_code", "integer"),
        "list-log": ("log_name", "errorLog"),
    },
}
#: Facts that cannot be seen where another is refuted.
UNSEEN = {"status-by-batch": {"status-fields"}}
CONNECTIONS = {BDP: ("motorweb", VEHICLES), CDP: ("sitecore", GUESTS)}


def verified(deployment: Deployment, vendor: str, expect: int = 0) -> dict[str, dict[str, Any]]:
    """Send rows of which one is rejected; return the facts of the report by id."""
    connection, rows = CONNECTIONS[vendor]
    (deployment.folder / "rows.csv").write_text(rows, encoding="utf-8")
    found = deployment.json("vendors", "verify", connection, "--rows", "rows.csv", "--yes", expect=expect)
    assert found["rows"] == 2
    return {item["fact"]: item for item in found["facts"]}


def of(facts: dict[str, dict[str, Any]], verdict: str) -> set[str]:
    return {name for name, item in facts.items() if item["verdict"] == verdict}


@pytest.mark.parametrize("vendor", REFUTING)
def test_facts_are_confirmed_and_each_switch_refutes_its_own(deployment: Deployment, vendor: str) -> None:
    facts = verified(deployment, vendor)
    assert of(facts, "refuted") == set()
    confirmed = of(facts, "confirmed")
    assert set(REFUTING[vendor]) <= confirmed
    assert len(deployment.mocks.batches(vendor)) == 1

    deployment.mocks.switch(vendor, **dict(REFUTING[vendor].values()))
    facts = verified(deployment, vendor, expect=9)
    refuted = set(REFUTING[vendor])
    hidden = {"status-by-batch"} & refuted  # the call is not found, so that there is no answer to regard
    assert of(facts, "refuted") == refuted - hidden
    unseen = {name for item in refuted for name in UNSEEN.get(item, ())} | hidden
    assert confirmed - of(facts, "confirmed") - refuted == unseen - refuted
    assert all(facts[name]["differences"] for name in refuted - hidden)


def test_nothing_is_sent_without_consent_and_rows_must_fit(deployment: Deployment) -> None:
    deployment.run("vendors", "verify", "sitecore", expect=2)
    assert "it cannot be confirmed" in deployment.shown()
    (deployment.folder / "few.csv").write_text("CustomerKey,FirstName\nK1,NOAM\n", encoding="utf-8")
    deployment.run("vendors", "verify", "sitecore", "--yes", "--rows", "few.csv", expect=2)
    assert "column LastName, Email, Country is missing" in deployment.shown()
    many = GUESTS + "".join(f"K{number},A,B,a{number}@example.com,IE\n" for number in range(30))
    (deployment.folder / "many.csv").write_text(many, encoding="utf-8")
    deployment.run("vendors", "verify", "sitecore", "--yes", "--rows", "many.csv", expect=2)
    assert "a test batch has 1 to 25 rows" in deployment.shown()
    deployment.run("vendors", "verify", "sitecore", "--yes", "--target", "schema", expect=2)
    assert deployment.mocks.requests() == []


@pytest.mark.parametrize(("answer", "code", "sent"), [(b"n\n", 2, 0), (b"y\n", 0, 1)])
def test_person_is_asked_on_the_terminal(deployment: Deployment, answer: bytes, code: int, sent: int) -> None:
    parent, child = pty.openpty()
    command = deployment.command("vendors", "verify", "sitecore", "--quiet")
    try:
        os.write(parent, answer)
        done = subprocess.run(
            command,
            cwd=deployment.folder,
            env=deployment.environ(),
            stdin=child,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(child)
        os.close(parent)
    asked = done.stderr.decode()
    assert done.returncode == code, asked
    assert (
        "Send 5 rows of the vendor's sample to Sitecore CDP, Batch API at https://api-engage-eu.sitecorecloud.io"
        in asked
    )
    assert ("not confirmed; nothing was sent" in asked) is not bool(sent)
    assert len(deployment.mocks.batches(CDP)) == sent


def test_report_can_be_shared_and_the_state_does_not_know_of_the_batch(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    before = sorted(path for path in deployment.folder.rglob("*") if "vendors" not in path.parts)
    facts = verified(deployment, CDP)
    report = deployment.shown() + json.dumps(facts)
    rejected = next(
        item for item in deployment.mocks.ledger(CDP) if item["outcome"] == "rejected" and item["code"] == "500"
    )
    keys = deployment.mocks.credentials(CDP).values()
    for value in (
        *keys,
        rejected["ref"],
        rejected["batch"],
        "noam.secret",
        "K-77",
        "MOCK-SERVER",
        "127.0.0.1",
        "http://",
    ):
        assert value not in report, value
    after = {path for path in deployment.folder.rglob("*") if "vendors" not in path.parts} - set(before)
    assert {path.name for path in after} <= {"rows.csv"}
    assert [item["run"] for item in deployment.json("history")["runs"]] == ["guests-1"]


def test_batch_that_is_not_finished_in_time_is_left_with_what_was_seen(deployment: Deployment) -> None:
    (deployment.folder / "rows.csv").write_text(VEHICLES, encoding="utf-8")
    later = ("--target", "scheduledDate=2099-01-01T00:00:00Z", "--timeout", "40m")
    report = deployment.run(
        "vendors", "verify", "motorweb", "--rows", "rows.csv", "--yes", *later, "-o", "md", expect=5
    )
    assert "| confirmed | create |" in report
    assert "| not seen | results |" in report


def test_interrupted_command_says_what_is_left_and_names_no_state(deployment: Deployment) -> None:
    later = ("--target", "scheduledDate=2099-01-01T00:00:00Z")
    (deployment.folder / "rows.csv").write_text(VEHICLES, encoding="utf-8")
    # It waits in real time, so that it is interrupted while the vendor works.
    environ = deployment.environ() | {"BATCHSYNC_SKIP_POLL_WAIT": "0"}
    command = deployment.command("vendors", "verify", "motorweb", "--rows", "rows.csv", "--yes", "--quiet", *later)
    process = subprocess.Popen(command, cwd=deployment.folder, env=environ, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(item["uploads"] for item in deployment.mocks.batches(BDP)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "error: interrupted; a test batch that was sent stays with the vendor" in shown
    assert "next: `batchsync vendors verify motorweb` sends another one" in shown
    assert "state saved" not in shown
