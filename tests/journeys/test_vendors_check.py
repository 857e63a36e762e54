"""`batchsync vendors new` and `vendors check`: a new vendor's folder, from its scaffold to a settled sync."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from batchsync_mocks import Clock, serve
from kit.deployment import Deployment
from kit.folder_vendors import START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks import Running


@pytest.fixture(scope="module")
def bundled() -> Iterator[Running]:
    """Mocks that no test asks: `vendors check` starts its own."""
    with serve(seed=1) as running:
        yield running


@pytest.fixture
def acme(tmp_path: Path, bundled: Running) -> Deployment:
    """Return a deployment whose folder has the new vendor `acme`."""
    deployment = Deployment(tmp_path, bundled)
    deployment.run("vendors", "new", "acme")
    return deployment


def test_new_vendor_passes_its_check_and_is_synced_and_verified(acme: Deployment) -> None:
    found = acme.json("vendors", "check", "./acme")
    assert (found["vendor"], found["schemas"], found["deviations"], found["facts"]) == ("acme", ["acme"], [], 5)
    assert {(item["client"], item["mock"]) for item in found["exchanges"]} == {(True, True)}
    assert {item["call"] for item in found["exchanges"]} >= {"allocate", "upload", "poll", "cancel"}
    # Everything in a scaffold is assumed, and each place is that of a source or of a fact.
    for item in found["assumed"]:
        line = (acme.folder / item["file"]).read_text().splitlines()[item["line"] - 1]
        assert "source:" in line, item
    places = [item["at"] for item in found["assumed"]]
    assert {"policy", "calls.allocate.responses.0", "fields.email", "lost-batches"} <= set(places)
    assert [item["missing"] for item in found["unstated"]] == ["a find call"]

    acme.run("init", "demo", "--vendor", "./acme")
    clock = Clock(START, frozen=True, auto=True)
    with serve([str(acme.folder / "acme")], clock=clock, seed=1) as mocks:
        demo = replace(acme, folder=acme.folder / "demo", mocks=mocks)
        sample = demo.folder / "data" / "acme.csv"
        sample.write_text(sample.read_text().replace("Bo\n", "MOCK-REJECT\n") + "D4,none,Di\n")
        demo.edit("{rejected: 1}", "{rejected: 1, invalid: 1}")
        demo.run("state", "init")
        total = demo.json("sync")["total"]
        assert (total["accepted"], total["rejected"], total["invalid"]) == (2, 1, 1)
        assert sorted(item["value"]["id"] for item in mocks.store("acme")) == ["A1", "C3"]
        sample.write_text("Key,Email,Name\nA1,ada@example.com,Ada\n")
        demo.run("sync")
        assert [item["value"]["id"] for item in mocks.store("acme")] == ["A1"]
        # The sample of a folder is a test batch, too.
        verdicts = {item["fact"]: item["verdict"] for item in demo.json("vendors", "verify", "acme", "--yes")["facts"]}
        assert (verdicts["allocation"], verdicts["status-words"]) == ("confirmed", "confirmed")


def test_new_replaces_no_file_and_refuses_names(acme: Deployment) -> None:
    spec = acme.folder / "acme" / "vendor.yaml"
    spec.write_text("mine")
    acme.run("vendors", "new", "acme", expect=2)
    assert "exists already; nothing was written" in acme.shown()
    assert spec.read_text() == "mine"
    for name in ("Acme", "a_b", "../x", "a" * 61, "sitecore-cdp"):
        acme.run("vendors", "new", name, expect=2)
    assert [path.name for path in acme.folder.iterdir() if path.is_dir()] == ["acme"]

    written = acme.json("vendors", "new", "big-mail-2", "--folder", "vendors/mail")
    assert written["folder"] == "vendors/mail"
    assert "vendors/mail/records/big-mail-2.yaml" in written["written"]
    text = (acme.folder / "vendors" / "mail" / "starter" / "connection.yaml").read_text()
    assert "${BIG_MAIL_2_TOKEN}" in text
    assert acme.json("vendors", "check", "vendors/mail", "--no-mock")["vendor"] == "big-mail-2"


def test_every_problem_of_every_file_has_its_place(acme: Deployment) -> None:
    acme.edit("    method: PUT\n", "    methods: PUT\n", "acme/vendor.yaml")
    acme.edit("kind: string, format: email", "kind: strin, format: email", "acme/records/acme.yaml")
    acme.edit("{after: [allocate]", "{after: [alocate]", "acme/exchanges/upload.yaml")
    acme.edit("{accepted: true}", "{accepted: true, absent: true}", "acme/exchanges/errors.yaml")
    acme.edit("sure: assumed, exchanges: [errors]", "sure: maybe, exchanges: [errors]", "acme/facts.yaml")
    found = problems(acme)
    assert {file for file, _, _, _ in found} == {
        f"acme/{name}"
        for name in ("vendor.yaml", "records/acme.yaml", "exchanges/upload.yaml", "exchanges/errors.yaml", "facts.yaml")
    }
    for file, line, column, _ in found:
        assert 0 < line <= len((acme.folder / file).read_text().splitlines())
        assert column > 0
    acme.run("vendors", "check", "./acme", expect=2)
    assert 'did you mean "allocate"?' in acme.shown()
    # What depends on a valid vendor.yaml is found once it is valid.
    acme.edit("    methods: PUT\n", "    method: PUT\n", "acme/vendor.yaml")
    acme.edit("strin,", "string,", "acme/records/acme.yaml")
    acme.edit("[alocate]", "[allocate]", "acme/exchanges/upload.yaml")
    acme.edit(", absent: true}", "}", "acme/exchanges/errors.yaml")
    acme.edit("sure: maybe, exchanges: [errors]", "sure: assumed, exchanges: [eror]", "acme/facts.yaml")
    acme.edit("vendor: acme", "vendor: other", "acme/facts.yaml")
    acme.edit("call: cancel", "call: cancle", "acme/exchanges/cancel.yaml")
    messages = [message for *_, message in problems(acme)]
    assert messages == [
        'call: vendor.yaml has no call "cancle"',
        "vendor: is another vendor",
        'facts.3.exchanges.0: no exchange "eror"',
    ]
    for name in ("nowhere", "./nowhere", "acme/records"):
        acme.run("vendors", "check", name, expect=2)


def problems(deployment: Deployment) -> list[tuple[str, int, int, str]]:
    """Return file, line, column and message of each problem that `vendors check` reports."""
    printed = json.loads(deployment.run("-o", "json", "vendors", "check", "./acme", expect=2))
    found: list[dict[str, Any]] = printed["error"]["problems"]
    return [(item["file"], item["line"], item["column"], item["message"]) for item in found]


def test_exchanges_that_deviate_are_named_with_their_places(acme: Deployment) -> None:
    # The client sends another header than documented, and reads the id elsewhere than the page has it.
    acme.edit("Content-Type: application/jsonl}", "Content-Type: text/plain}", "acme/exchanges/upload.yaml")
    acme.edit("read: {id: [/id],", "read: {id: [/import/id],", "acme/vendor.yaml")
    # The mock knows no such status, and the client does not either.
    acme.edit("word: RUNNING", "word: WORKING", "acme/exchanges/status-running.yaml")
    acme.edit("status: RUNNING}", "status: WORKING, percent: 5}", "acme/exchanges/status-running.yaml")
    found = acme.json("vendors", "check", "./acme", expect=9)
    client = {(item["exchange"], item["at"]) for item in found["deviations"] if item["by"] == "client"}
    assert client == {("upload", "request.headers.Content-Type"), ("allocate", "meaning")}
    assert ("status-running", "meaning") in {
        (item["exchange"], item["at"]) for item in found["deviations"] if item["by"] == "mock"
    }
    (header,) = [item for item in found["deviations"] if item["at"] == "request.headers.Content-Type"]
    line = (acme.folder / header["file"]).read_text().splitlines()[header["line"] - 1]
    assert "text/plain" in line
    alone = ("vendors", "check", "acme", "--no-mock")
    place = f"{header['file']}:{header['line']}:{header['column']}"
    assert f"{place}: request.headers.Content-Type" in acme.run(*alone, expect=9)
    assert "#### Deviations" in acme.run(*alone, "-o", "md", expect=9)
    lines = [json.loads(line) for line in acme.run("-o", "ndjson", *alone, expect=9).splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("exchange") == len(found["exchanges"])
    assert events.count("deviation") == len(client)


def test_what_a_folder_does_not_say_is_listed_with_its_effect(acme: Deployment) -> None:
    acme.edit("  counters: [/rejected]\n", "", "acme/vendor.yaml")
    acme.edit(", retry_codes: [BUSY]", "", "acme/vendor.yaml")
    acme.edit("upsert: records, delete: removals", "upsert: records", "acme/vendor.yaml")
    acme.edit("modes: [upsert, delete]", "modes: [upsert]", "acme/records/acme.yaml")
    acme.edit("fields_in:\n  delete: [id]\n", "", "acme/records/acme.yaml")
    acme.edit(", expires_at: [/upload/expires]", "", "acme/vendor.yaml")
    acme.edit("  CANCELLED: cancelled\n", "", "acme/vendor.yaml")
    for file in (acme.folder / "acme" / "exchanges").iterdir():
        file.unlink()
    (acme.folder / "acme" / "facts.yaml").unlink()
    found = acme.json("vendors", "check", "./acme")
    assert found["exchanges"] == []
    assert {item["at"] for item in found["unstated"]} == {
        "calls",
        "calls.allocate.read",
        "errors.counters",
        "exchanges",
        "facts.yaml",
        "modes.sends",
        "row_log.errors.retry_codes",
        "statuses",
    }
    assert "#### Not stated" in acme.run("vendors", "check", "./acme", "-o", "md")


def test_files_outside_of_the_roots_are_not_read(acme: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = acme.folder.parent / f"{acme.folder.name}-secret.yaml"
    secret.write_text("token: not-for-a-message")
    monkeypatch.setenv("BATCHSYNC_ROOTS", str(acme.folder))
    acme.run("vendors", "check", "acme", "--no-mock")
    exchange = acme.folder / "acme" / "exchanges" / "cancel.yaml"
    exchange.unlink()
    exchange.symlink_to(secret)
    for command in (("vendors", "check", "./acme"), ("init", "demo", "--vendor", "./acme")):
        acme.run(*command, expect=2)
        assert "acme/exchanges/cancel.yaml" in acme.shown()
        assert "not-for-a-message" not in acme.shown()
    acme.run("vendors", "check", str(acme.folder.parent), expect=2)
    acme.run("vendors", "new", "other", "--folder", str(acme.folder.parent / "other"), expect=2)
    assert not (acme.folder.parent / "other").exists()


def test_bundled_vendors_are_checked_by_name(acme: Deployment) -> None:
    found = acme.json("vendors", "check", "motorweb-bdp")
    assert found["deviations"] == []
    assert sum(item["mock"] is True for item in found["exchanges"]) > 20
    for name in ("sitecore-cdp", "amazon-sp-feeds", "salesforce-bulk"):
        assert acme.json("vendors", "check", name, "--no-mock")["deviations"] == []
