"""Documented facts and exchanges of the vendors, checked against the mocks over real HTTP, without batchsync."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

import batchsync_mocks
from contract.mock_dialogs import VENDORS, Dialog, exchanges, facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

NAMED = {vendor: exchanges(vendor) for vendor in VENDORS}
INDEX = {vendor: facts(vendor) for vendor in VENDORS}
FACTS = [
    pytest.param(vendor, fact, id=f"{vendor}/{fact['id']}") for vendor in VENDORS for fact in INDEX[vendor]["facts"]
]
WITH_DIALOG = [item for item in FACTS if "talk" in item.values[1]]
SURE = {"documented", "secondary", "observed", "inferred", "assumed"}


def replays() -> Iterator[Any]:
    """Yield each exchange with the steps that reproduce it: its own `replay`, or the `states` of the facts."""
    for vendor in VENDORS:
        states = INDEX[vendor]["states"]
        for name, exchange in sorted(NAMED[vendor].items()):
            replay = states.get(name) or exchange.get("replay")
            if replay and "client_only" not in replay:
                yield pytest.param(vendor, exchange, replay, id=f"{vendor}/{name}")


@pytest.fixture(scope="module")
def served() -> Iterator[batchsync_mocks.Running]:
    clock = batchsync_mocks.Clock("2026-03-01T12:00:00Z", frozen=True)
    with batchsync_mocks.serve(seed=7, clock=clock) as running:
        yield running


@pytest.fixture
def mocks(served: batchsync_mocks.Running) -> Iterator[batchsync_mocks.Running]:
    before = {vendor: served.switches(vendor) for vendor in VENDORS}
    served.reset()
    served.clock.set("2026-03-01T12:00:00Z")
    yield served
    for vendor, switches in before.items():
        served._context.vendors[vendor].switches = switches


@pytest.mark.parametrize(("vendor", "exchange", "replay"), list(replays()))
def test_mock_gives_the_documented_response(
    mocks: batchsync_mocks.Running, vendor: str, exchange: dict[str, Any], replay: dict[str, Any]
) -> None:
    dialog = Dialog(mocks, vendor)
    dialog.set_file(replay.get("file", "nothing\n"))
    for step in replay["after"]:
        dialog.step({"do": step} if isinstance(step, str) else step, NAMED[vendor])
    response = dialog.play(exchange, replay.get("with", {}))
    documented = exchange["response"]
    assert response.status_code == documented["status"], response.text[:300]
    if "json" in documented and replay.get("answer") != "any":
        assert missing_members(documented["json"], response.json()) == []
    if exchange["call"] == "poll" and "json" in documented and response.ok:
        assert vendor_status(response.json()) == vendor_status(documented["json"])
    for code in re.findall(r"<Code>(\w+)</Code>", documented.get("text", "")):
        assert f"<Code>{code}</Code>" in response.text
    if exchange["call"] == "errors.downloads.0.call" and vendor == "sitecore-cdp" and response.ok:
        assert log_entries(response) == [json.loads(line) for line in documented["text"].splitlines()]


def log_entries(response: requests.Response) -> list[dict[str, str]]:
    return [json.loads(line) for line in gzip.decompress(response.content).splitlines()]


def vendor_status(body: Any) -> str:
    status = body["status"]
    return str(status["code"] if isinstance(status, dict) else status)


def missing_members(documented: Any, found: Any, at: str = "") -> list[str]:
    """List documented members that are missing from a response, or have another type."""
    if documented is None or found is None:
        return []
    if type(documented) is not type(found):
        return [at or "/"]
    if isinstance(documented, dict):
        missing = [f"{at}/{name}" for name in documented if name not in found]
        both = [name for name in documented if name in found]
        return missing + [
            item for name in both for item in missing_members(documented[name], found[name], f"{at}/{name}")
        ]
    if isinstance(documented, list) and documented and found:
        return missing_members(documented[0], found[0], f"{at}/0")
    return []


@pytest.mark.parametrize(("vendor", "fact"), WITH_DIALOG)
def test_mock_behaves_as_the_fact_states(mocks: batchsync_mocks.Running, vendor: str, fact: dict[str, Any]) -> None:
    dialog = Dialog(mocks, vendor)
    for step in fact["talk"]:
        dialog.step(step, NAMED[vendor])


@pytest.mark.parametrize(("vendor", "fact"), FACTS)
def test_every_fact_has_an_exchange_or_a_reason(vendor: str, fact: dict[str, Any]) -> None:
    assert set(fact) <= {"id", "says", "source", "sure", "exchanges", "talk", "unseen", "verify"}
    assert fact["says"]
    assert fact["source"]
    assert fact["sure"] in SURE
    shown = bool(fact.get("exchanges")) or bool(fact.get("talk"))
    assert shown or fact.get("unseen"), "a fact needs an exchange, a talk, or a reason why it cannot be seen"
    for name in fact.get("exchanges", []):
        assert name in NAMED[vendor], f"unknown exchange {name}"


@pytest.mark.parametrize("vendor", VENDORS)
def test_fact_names_are_unique_and_every_exchange_shows_a_fact(vendor: str) -> None:
    names = [fact["id"] for fact in INDEX[vendor]["facts"]]
    assert len(names) == len(set(names))
    shown = {name for fact in INDEX[vendor]["facts"] for name in fact.get("exchanges", [])}
    assert sorted(set(NAMED[vendor]) - shown) == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_exchange_is_compared_with_the_mock_or_states_why_not(vendor: str) -> None:
    states = INDEX[vendor]["states"]
    uncompared = [name for name, item in NAMED[vendor].items() if "replay" not in item and name not in states]
    assert uncompared == []
    assert sorted(set(states) - set(NAMED[vendor])) == []
