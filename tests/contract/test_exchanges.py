"""Every documented exchange, held against our dialect offline, and replayed against the bundled mock over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from ruamel.yaml import YAML

import lading_mocks
from lading.core.batch import BatchFile, Ticket
from lading.core.vendor_rules import Call, Dialect, Door, Means
from lading.errors import DidNotHappen, Permanent, SlotGone, Unclear, VendorFailure
from lading.ports import Finished
from lading.spec.vendor_spec import available_vendors, load_vendor
from lading.vendors import reading
from lading.vendors.auth import Auth
from lading.vendors.client import HttpVendor, connect
from lading.vendors.dialect import Asked, accept, build, read, read_choice, read_slot, read_status, values
from lading.vendors.wire import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = {"motorweb-bdp": "https://api.tst.motorweb.app", "sitecore-cdp": "https://api-engage-eu.sitecorecloud.io"}
NOW = datetime(2025, 3, 7, 16, tzinfo=UTC)
KINDS = {DidNotHappen: "did_not_happen", Unclear: "unclear", SlotGone: "slot_gone", Permanent: "permanent"}
TICKET = Ticket("3ee694e5-0b77-5d1e-af19-1aa78f500785")
MEANINGS = {"slot", "status", "token", "id", "columns", "url", "absent", "accepted", "failure"}


class StillClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration


@dataclass(frozen=True)
class Exchange:
    vendor: str
    name: str
    content: dict[str, Any]

    @property
    def dialect(self) -> Dialect:
        dialect = load_vendor(self.vendor).dialect
        assert dialect is not None
        return dialect

    @property
    def call(self) -> Call:
        return called(self.dialect, self.content["call"])

    @property
    def meaning(self) -> str:
        (only,) = MEANINGS & set(self.content["meaning"])
        return only

    def asked(self, known: dict[str, Any], file: BatchFile | None = None) -> Asked:
        said = self.content["response"]
        body = json.dumps(said["json"]) if "json" in said else said["text"]
        headers = {name.lower(): value for name, value in said.get("headers", {}).items()}
        now = datetime.fromisoformat(self.content["now"]) if "now" in self.content else NOW
        answer = Answer(status=said["status"], headers=headers, body=body.encode())
        return Asked(call=self.call, request=build(self.call, known, BASE[self.vendor], file), answer=answer, now=now)


def called(dialect: Dialect, path: str) -> Call:
    """Return the call at a path of vendor.yaml."""
    node: Any = dialect
    for part in path.removeprefix("connection.").split("."):
        node = node[int(part)] if part.isdigit() else getattr(node, part)
    assert isinstance(node, Call)
    return node


def all_exchanges() -> Iterator[Exchange]:
    for vendor in available_vendors():
        for file in sorted((files("lading_specs") / vendor / "exchanges").iterdir(), key=lambda one: one.name):
            content = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
            yield Exchange(vendor, file.name.removesuffix(".yaml"), content)


EXCHANGES = {(one.vendor, one.name): one for one in all_exchanges()}
REPLAYED = {name: one for name, one in EXCHANGES.items() if "replay" in one.content}
IDS = ["/".join(name) for name in EXCHANGES]


def sealed(folder: Path, vendor: str, text: str) -> BatchFile:
    data = text.encode()
    if load_vendor(vendor).file.gzip:
        data = gzip.compress(data, mtime=0)
    path = folder / f"batch{load_vendor(vendor).file.suffix}"
    path.write_bytes(data)
    digests = {"digest": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    return BatchFile(path=str(path), evidence="", size=len(data), rows=text.count("\n"), **digests)


def understood(one: Exchange, asked: Asked) -> dict[str, Any]:
    """Return what our dialect makes of an answer, in the words of the exchanges."""
    try:
        if accept(asked) is Means.ABSENT:
            return {"absent": True}
        kind = {"allocate": "slot", "describe.choice.call": "id"}.get(one.content["call"], one.meaning)
        return {"accepted": True} if kind in {"accepted", "failure"} else {kind: _read(one, kind, asked)}
    except VendorFailure as failure:
        found = {"failure": KINDS[type(failure)], "says": failure.reason}
        return found | {"retry_at": failure.retry_at} if isinstance(failure, DidNotHappen | Unclear) else found


def _read(one: Exchange, kind: str, asked: Asked) -> Any:
    match kind:
        case "slot":
            slot = read_slot(asked, TICKET, needs_url=one.content["call"] == "allocate")
            return {"id": slot.id, "url": slot.url, "until": slot.until.isoformat() if slot.until else None}
        case "status":
            status = read_status(asked, one.dialect.words)
            found = {"status": type(status).__name__.lower(), "word": status.word}
            return found | {"verdict": status.verdict} if isinstance(status, Finished) else found
        case "token":
            return reading.text(read(asked), asked.call.read["token"])
        case "columns":
            return list(reading.columns(asked.answer.body) or ())
        case "url":
            return reading.text(read(asked), asked.call.read["url"])
        case "id":
            choice = one.dialect.describe.choice
            assert choice is not None
            return read_choice(asked, choice, one.content["given"]["target.service"])
        case other:
            raise AssertionError(other)


def expected(one: Exchange) -> dict[str, Any]:
    """Return the meaning that the exchange states, with the members of a status in one value."""
    stated = dict(one.content["meaning"])
    return {"status": stated} if one.meaning == "status" else stated


@pytest.mark.parametrize("one", EXCHANGES.values(), ids=IDS)
def test_every_exchange_is_whole_and_says_where_it_is_documented(one: Exchange) -> None:
    known = {"about", "source", "call", "now", "given", "request", "response", "meaning", "replay"}
    assert set(one.content) <= known
    assert one.content["about"]
    assert one.content["source"]
    assert one.call.method


@pytest.mark.parametrize("one", EXCHANGES.values(), ids=IDS)
def test_our_request_is_the_documented_one(one: Exchange, tmp_path: Path) -> None:
    given, wanted = dict(one.content["given"]), one.content["request"]
    file = sealed(tmp_path, one.vendor, "some text\n")
    request = build(one.call, given, BASE[one.vendor], file)
    absolute = wanted["url"] if wanted["url"].startswith("https:") else BASE[one.vendor] + wanted["url"]
    assert (request.method, request.url) == (wanted["method"], absolute)
    assert wanted.get("headers", {}).items() <= dict(request.headers).items()
    if "json" in wanted:
        assert json.loads(request.body or b"") == wanted["json"]
    elif "form" in wanted:
        assert dict(parse_qsl((request.body or b"").decode())) == wanted["form"]
    else:
        assert request.body is None
    assert (request.file == file.path) is wanted.get("file", False)
    assert (request.door is Door.STORAGE) is wanted["url"].startswith("https:")
    assert "authorization" not in {name.lower() for name in request.headers}


@pytest.mark.parametrize("one", EXCHANGES.values(), ids=IDS)
def test_we_understand_the_documented_answer(one: Exchange) -> None:
    wanted = expected(one)
    if one.meaning == "token":
        answered = one.asked(one.content["given"]).answer
        credentials = {name.removeprefix("credentials."): str(value) for name, value in one.content["given"].items()}
        asked: list[Request] = []
        clock = StillClock()

        def ask(request: Request) -> Answer:
            asked.append(request)
            return answered

        auth = Auth(one.dialect.auth, credentials, ask, base_url=BASE[one.vendor], clock=clock)
        assert auth.headers() == {"Authorization": f"Bearer {wanted['token']}"}
        clock.sleep(timedelta(seconds=wanted["seconds"] - 61))
        auth.headers()
        assert len(asked) == 1, "the token is kept"
        clock.sleep(timedelta(seconds=2))
        auth.headers()
        assert len(asked) == 2, "and renewed a minute before its end"
        return
    found = understood(one, one.asked(dict(one.content["given"])))
    if "failure" in wanted:
        assert found["failure"] == wanted["failure"]
        assert wanted["says"] in found["says"]
        if "retry_at" in wanted:
            assert found["retry_at"] == datetime.fromisoformat(wanted["retry_at"])
    else:
        assert found == wanted


@pytest.fixture(scope="module")
def mocks() -> Iterator[lading_mocks.Running]:
    with lading_mocks.serve(seed=7) as running:
        yield running


@dataclass
class Replay:
    """A conversation with a mock: what has been learned so far, and the vendor it is held with."""

    vendor: HttpVendor
    known: dict[str, Any]
    file: BatchFile

    def play(self, one: Exchange, changes: dict[str, Any]) -> Asked:
        asked = self.vendor._asked(one.call, self.known | changes, self.file)
        if one.meaning in {"slot", "id", "url"} and "absent" not in (found := understood(one, asked)):
            match one.meaning:
                case "slot":
                    self.known |= {"slot.id": found["slot"]["id"], "slot.url": found["slot"]["url"]}
                case "id":
                    self.known["params.service_id"] = found["id"]
                case _:
                    self.known["found.url"] = found["url"]
        return asked


@pytest.mark.parametrize("one", REPLAYED.values(), ids=["/".join(name) for name in REPLAYED])
def test_the_mock_answers_as_documented(one: Exchange, mocks: lading_mocks.Running, tmp_path: Path) -> None:
    mocks.reset()
    replay, credentials = one.content["replay"], mocks.credentials(one.vendor)
    file = sealed(tmp_path, one.vendor, replay.get("file", "nothing\n"))
    known: dict[str, Any] = {f"credentials.{name}": value for name, value in credentials.items()}
    # The ticket stands for the slot's id until a vendor that draws its own ids has named it.
    known |= {"ticket": TICKET, "target.service": "vehicle id wovr batch", "slot.id": TICKET}
    known |= _of_file(file)
    vendor = connect(
        load_vendor(one.vendor),
        base_url=mocks.urls[one.vendor],
        credentials=credentials,
        ca_bundle=None,
        clock=StillClock(),
        user_agent="lading tests",
    )
    conversation = Replay(vendor, known, file)
    for step in replay["after"]:
        if isinstance(step, dict):
            mocks.advance(step["advance"])
        else:
            accept(conversation.play(EXCHANGES[one.vendor, step], {}))
    asked = conversation.play(one, replay.get("with", {}))
    said, wanted = one.content["response"], expected(one)
    assert asked.answer.status == said["status"], asked.told()
    if "json" in said and replay.get("answer") != "any":
        assert shape(said["json"], json.loads(asked.answer.body)) == []
    if one.meaning == "failure":
        assert understood(one, asked)["failure"] == wanted["failure"]
    elif one.meaning == "status":
        assert understood(one, asked) == wanted
    else:
        assert one.meaning in understood(one, asked)


def _of_file(file: BatchFile) -> dict[str, Any]:
    return {name: one for name, one in values(file=file).items() if name.startswith("file.")}


def shape(documented: Any, found: Any, at: str = "") -> list[str]:
    """Return where an answer lacks a documented member, or has one of another kind."""
    if documented is None or found is None:
        return []
    if isinstance(documented, dict):
        if not isinstance(found, dict):
            return [at]
        missing = [f"{at}/{name}" for name in documented if name not in found]
        both = [name for name in documented if name in found]
        return missing + [where for name in both for where in shape(documented[name], found[name], f"{at}/{name}")]
    if isinstance(documented, list):
        if not isinstance(found, list):
            return [at]
        return shape(documented[0], found[0], f"{at}/0") if documented and found else []
    return [] if type(documented) is type(found) else [at]
