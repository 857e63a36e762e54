"""Conversations with a mock as the facts and exchanges of `lading_specs` write them: real HTTP, and no lading."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import requests
from ruamel.yaml import YAML

from lading_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading_mocks import Running

TICKET = "3ee694e5-0b77-5d1e-af19-1aa78f500785"
VENDORS = ("motorweb-bdp", "sitecore-cdp")
KINDS = {
    "<uuid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<url>": r"https?://.*",
    "<moment>": r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{3})?)?Z?",
    "<digits>": r"\d+",
    "<text>": r"(?s).+",
}


def facts(vendor: str) -> dict[str, Any]:
    """Read a vendor's index of facts."""
    return _yaml(files("lading_specs") / vendor / "facts.yaml")


def exchanges(vendor: str) -> dict[str, dict[str, Any]]:
    """Read a vendor's exchanges by name."""
    folder = files("lading_specs") / vendor / "exchanges"
    return {file.name.removesuffix(".yaml"): _yaml(file) for file in folder.iterdir()}


def _yaml(file: Any) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))


@dataclass
class Talk:
    """One conversation: the mock, what was learned from its answers, and the file that would be uploaded."""

    mocks: Running
    vendor: str
    known: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""
    answer: requests.Response | None = None

    def __post_init__(self) -> None:
        """Know what every conversation starts from."""
        self.url = self.mocks.urls[self.vendor]
        self.known |= {
            "url": self.url,
            "ticket": TICKET,
            "slot.id": TICKET,
            "params.service_id": "8600aa22-e4bf-4fe3-96be-7978832807a0",
        }
        self.known |= {f"credentials.{name}": value for name, value in self.mocks.credentials(self.vendor).items()}
        self.hold("nothing\n")

    def hold(self, text: str) -> None:
        """Take the text as the file that is uploaded from now on, packed as the vendor wants it."""
        data = text.encode()
        self.data = gzip.compress(data, mtime=0) if self.vendor == "sitecore-cdp" else data
        digest = hashlib.md5(self.data, usedforsecurity=False)
        packed = base64.b64encode(digest.digest()).decode()
        self.known |= {"file.md5": digest.hexdigest(), "file.size": len(self.data), "file.md5_base64": packed}

    def play(self, exchange: Mapping[str, Any], changes: Mapping[str, Any]) -> requests.Response:
        """Send the documented request with our values in the place of the documented ones."""
        asked, given, changes = exchange["request"], exchange["given"], self._filled(dict(changes))
        live = {name: (self.known | changes).get(name, said) for name, said in given.items()}
        url = _replaced(asked["url"], given, live)
        storage = asked["url"].startswith("https:")
        headers = _replaced(asked.get("headers", {}), given, live)
        body: dict[str, Any] = {"json": _replaced(asked["json"], given, live)} if "json" in asked else {}
        if "form" in asked:
            body = {"data": _replaced(asked["form"], given, live)}
        if asked.get("file"):
            body = {"data": self.data}
        if not storage and "form" not in asked:
            headers |= self.authorisation()
        return self.send(asked["method"], url if storage else self.url + url, headers, **body)

    def send(self, method: str, url: str, headers: Mapping[str, str], **body: Any) -> requests.Response:
        """Send a request and learn from its answer."""
        self.answer = requests.request(method, url, headers=dict(headers), timeout=10, **body)
        self._learn(self.answer)
        return self.answer

    def authorisation(self) -> dict[str, str]:
        """Give the header that proves who we are."""
        keys = self.mocks.credentials(self.vendor)
        if self.vendor == "sitecore-cdp":
            pair = ":".join(keys.values()).encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        form = {"grant_type": "client_credentials", **keys}
        token = self.known.get("token")
        if token is None:
            token = requests.post(f"{self.url}/auth/v1/token", data=form, timeout=10).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def step(self, step: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> None:
        """Do one step of a talk; a `get` that is not what came fails."""
        match step:
            case {"do": name}:
                answer = self.play(named[name], step.get("with", {}))
                assert answer.status_code < 400, answer.text
            case {"file": text}:
                self.hold(text)
            case {"records": lines}:
                self._records(lines, step.get("log", []))
            case {"send": asked}:
                self._send(asked)
            case other:
                self._turn(other)
        if "get" in step:
            assert self.answer is not None
            held(step["get"], self.answer)

    def _turn(self, step: Mapping[str, Any]) -> None:
        match step:
            case {"advance": seconds}:
                self.mocks.advance(seconds)
            case {"switch": turned}:
                self.mocks.switch(self.vendor, **turned)
            case {"fault": fault}:
                self.mocks.arm(Fault(**fault))
            case {"keep_token": True}:
                self.known["token"] = self.authorisation()["Authorization"].removeprefix("Bearer ")
            case {"revoke": True}:
                self.mocks.revoke_tokens(self.vendor)
            case other:
                raise AssertionError(other)

    def _send(self, asked: Mapping[str, Any]) -> None:
        url = self._filled(asked.get("url", f"{self.url}{asked.get('path', '')}"))
        headers = self._filled(asked.get("headers", {}))
        storage = "url" in asked
        if asked.get("auth", not storage):
            headers = self.authorisation() | headers
        body = {name: self._filled(asked[name]) for name in ("json", "params") if name in asked}
        if "form" in asked:
            body["data"] = self._filled(asked["form"])
        if "text" in asked:
            body["data"] = asked["text"].encode()
        if asked.get("file"):
            body["data"] = self.data
        self.send(asked["method"], url, headers, **body)

    def _records(self, lines: list[Any], log: list[Mapping[str, str]]) -> None:
        texts = [line if isinstance(line, str) else json.dumps(_enveloped(line, n)) for n, line in enumerate(lines)]
        self.hold("\n".join(texts) + "\n")
        ref = f"00000000-0000-4000-8000-{len(self.mocks.batches(self.vendor)):012d}"
        body = {"checksum": self.known["file.md5"], "size": self.known["file.size"]}
        where = f"{self.url}/v2/batches/inspect/{ref}"
        auth = self.authorisation()
        made = requests.put(f"{self.url}/v2/batches/{ref}", json=body, headers=auth, timeout=10).json()
        headers = {"x-amz-server-side-encryption": "AES256", "Content-Md5": self.known["file.md5_base64"]}
        assert requests.put(made["location"]["href"], data=self.data, headers=headers, timeout=10).status_code == 200
        self.mocks.advance(15)
        status = requests.get(where, headers=auth, timeout=10).json()["status"]
        found = []
        if "log" in status:
            packed = requests.get(status["log"], timeout=10).content
            found = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
        assert [{name: one[name] for name in ("code", "message")} for one in found] == log, found

    def _learn(self, answer: requests.Response) -> None:
        try:
            said = answer.json()
        except ValueError:
            return
        said = said[0] if isinstance(said, list) and said else said
        if not isinstance(said, dict):
            return
        status = said.get("status")
        found = {
            "slot.id": said.get("batchId"),
            "slot.url": said.get("location", {}).get("href") if "location" in said else None,
            "found.url": status.get("log") if isinstance(status, dict) else None,
        }
        if "url" in said:
            found["slot.url" if "expiry" in said and "status" not in said else "found.url"] = said["url"]
        self.known |= {name: value for name, value in found.items() if value}

    def _filled(self, text: Any) -> Any:
        if isinstance(text, dict):
            return {name: self._filled(inner) for name, inner in text.items()}
        if isinstance(text, str):
            whole = re.fullmatch(r"\{([\w.]+)\}", text)
            if whole:
                return self.known[whole[1]]
            return re.sub(r"\{([\w.]+)\}", lambda found: str(self.known[found[1]]), text)
        return text


def held(wanted: Mapping[str, Any], answer: requests.Response) -> None:
    """Fail unless an answer has the status, the headers, the members and the words that are wanted."""
    assert answer.status_code == wanted["status"], answer.text[:500]
    for name, value in wanted.get("headers", {}).items():
        assert fits(value, answer.headers.get(name, "")), (name, answer.headers.get(name))
    if "json" in wanted:
        found = list(differences(wanted["json"], answer.json()))
        assert not found, found
    if "says" in wanted:
        assert wanted["says"] in answer.text, answer.text[:500]
    if "text" in wanted:
        assert answer.text == wanted["text"], answer.text[:500]


def fits(wanted: Any, found: Any) -> bool:
    """Tell whether a value is the wanted one, or of the wanted kind."""
    if isinstance(wanted, str) and wanted in KINDS:
        return isinstance(found, str) and re.fullmatch(KINDS[wanted], found) is not None
    if wanted == "<number>":
        return isinstance(found, int) and not isinstance(found, bool)
    return type(wanted) is type(found) and wanted == found


def differences(wanted: Any, found: Any, at: str = "") -> Iterator[str]:
    """List where an answer lacks what is wanted; members that nobody asked for do not count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, inner in wanted.items():
            if inner == "<absent>":
                if name in found:
                    yield f"{at}/{name}: is there"
            elif name not in found:
                yield f"{at}/{name}: missing"
            else:
                yield from differences(inner, found[name], f"{at}/{name}")
    elif isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            yield f"{at}: {len(found)} items"
        for number, pair in enumerate(zip(wanted, found, strict=False)):
            yield from differences(*pair, at=f"{at}/{number}")
    elif not fits(wanted, found):
        yield f"{at}: {found!r}"


def _replaced(text: Any, given: Mapping[str, Any], live: Mapping[str, Any]) -> Any:
    if isinstance(text, dict):
        return {name: _replaced(inner, given, live) for name, inner in text.items()}
    for name, said in given.items():
        if text == said:
            return live[name]
        if isinstance(text, str) and isinstance(said, str):
            text = text.replace(said, str(live[name]))
    return text


def _enveloped(record: dict[str, Any], number: int) -> dict[str, Any]:
    return {"ref": f"c56a4180-65aa-42ec-a945-5fd21dec{number:04d}", **record}
