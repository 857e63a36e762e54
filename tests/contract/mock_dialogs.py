"""Dialogs with a mock, as described by the facts and exchanges of `batchsync_specs`: real HTTP, without batchsync."""

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

from batchsync_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync_mocks import Running

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
    return _yaml(files("batchsync_specs") / vendor / "facts.yaml")


def exchanges(vendor: str) -> dict[str, dict[str, Any]]:
    """Read a vendor's exchanges by name."""
    folder = files("batchsync_specs") / vendor / "exchanges"
    return {file.name.removesuffix(".yaml"): _yaml(file) for file in folder.iterdir()}


def _yaml(file: Any) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))


@dataclass
class Dialog:
    """A dialog with a mock: placeholder values learned from its responses, and the file to upload."""

    mocks: Running
    vendor: str
    known: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""
    response: requests.Response | None = None

    def __post_init__(self) -> None:
        """Set the placeholder values that every dialog starts with."""
        self.url = self.mocks.urls[self.vendor]
        self.known |= {
            "url": self.url,
            "idempotency_key": TICKET,
            "allocation.id": TICKET,
            "params.service_id": "8600aa22-e4bf-4fe3-96be-7978832807a0",
        }
        self.known |= {f"credentials.{name}": value for name, value in self.mocks.credentials(self.vendor).items()}
        self.set_file("nothing\n")

    def set_file(self, text: str) -> None:
        """Set the file to upload, compressed if the vendor requires it."""
        data = text.encode()
        self.data = gzip.compress(data, mtime=0) if self.vendor == "sitecore-cdp" else data
        digest = hashlib.md5(self.data, usedforsecurity=False)
        packed = base64.b64encode(digest.digest()).decode()
        self.known |= {"file.md5": digest.hexdigest(), "file.size": len(self.data), "file.md5_base64": packed}
        self.known |= {"file.md5_upper": digest.hexdigest().upper()}

    def play(self, exchange: Mapping[str, Any], changes: Mapping[str, Any]) -> requests.Response:
        """Send a documented request with the documented values replaced by those of this dialog."""
        request, given, changes = exchange["request"], exchange["given"], self._fill(dict(changes))
        live = {name: (self.known | changes).get(name, documented) for name, documented in given.items()}
        url = _replaced(request["url"], given, live)
        storage = request["url"].startswith("https:")
        headers = _replaced(request.get("headers", {}), given, live)
        body: dict[str, Any] = {"json": _replaced(request["json"], given, live)} if "json" in request else {}
        if "form" in request:
            body = {"data": _replaced(request["form"], given, live)}
        if request.get("file"):
            body = {"data": self.data}
        if not storage and "form" not in request:
            headers |= self.authorisation()
        return self.send(request["method"], url if storage else self.url + url, headers, **body)

    def send(self, method: str, url: str, headers: Mapping[str, str], **body: Any) -> requests.Response:
        """Send a request and take placeholder values from its response."""
        self.response = requests.request(method, url, headers=dict(headers), timeout=10, **body)
        self._learn(self.response)
        return self.response

    def authorisation(self) -> dict[str, str]:
        """Return the authentication header."""
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
        """Perform a step of a dialog, and assert that the response matches its `get`."""
        match step:
            case {"do": name}:
                response = self.play(named[name], step.get("with", {}))
                assert response.status_code < 400, response.text
            case {"file": text}:
                self.set_file(text)
            case {"records": lines}:
                self._records(lines, step.get("log", []))
            case {"send": request}:
                self._send(request)
            case other:
                self._change_mock(other)
        if "get" in step:
            assert self.response is not None
            assert_matches(step["get"], self.response)

    def _change_mock(self, step: Mapping[str, Any]) -> None:
        match step:
            case {"advance": seconds}:
                self.mocks.advance(seconds)
            case {"switch": switches}:
                self.mocks.switch(self.vendor, **switches)
            case {"fault": fault}:
                self.mocks.arm(Fault(**fault))
            case {"keep_token": True}:
                self.known["token"] = self.authorisation()["Authorization"].removeprefix("Bearer ")
            case {"revoke": True}:
                self.mocks.revoke_tokens(self.vendor)
            case other:
                raise AssertionError(other)

    def _send(self, request: Mapping[str, Any]) -> None:
        url = self._fill(request.get("url", f"{self.url}{request.get('path', '')}"))
        headers = self._fill(request.get("headers", {}))
        storage = "url" in request
        if request.get("auth", not storage):
            headers = self.authorisation() | headers
        body = {name: self._fill(request[name]) for name in ("json", "params") if name in request}
        if "form" in request:
            body["data"] = self._fill(request["form"])
        if "text" in request:
            body["data"] = request["text"].encode()
        if request.get("file"):
            body["data"] = self.data
        self.send(request["method"], url, headers, **body)

    def _records(self, lines: list[Any], log: list[Mapping[str, str]]) -> None:
        texts = [line if isinstance(line, str) else json.dumps(_with_ref(line, n)) for n, line in enumerate(lines)]
        self.set_file("\n".join(texts) + "\n")
        ref = f"00000000-0000-4000-8000-{len(self.mocks.batches(self.vendor)):012d}"
        body = {"checksum": self.known["file.md5"], "size": self.known["file.size"]}
        inspect_url = f"{self.url}/v2/batches/inspect/{ref}"
        auth = self.authorisation()
        made = requests.put(f"{self.url}/v2/batches/{ref}", json=body, headers=auth, timeout=10).json()
        headers = {"x-amz-server-side-encryption": "AES256", "Content-Md5": self.known["file.md5_base64"]}
        assert requests.put(made["location"]["href"], data=self.data, headers=headers, timeout=10).status_code == 200
        self.mocks.advance(15)
        status = requests.get(inspect_url, headers=auth, timeout=10).json()["status"]
        found = []
        if "log" in status:
            packed = requests.get(status["log"], timeout=10).content
            found = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
        assert [{name: item[name] for name in ("code", "message")} for item in found] == log, found

    def _learn(self, response: requests.Response) -> None:
        try:
            body = response.json()
        except ValueError:
            return
        body = body[0] if isinstance(body, list) and body else body
        if not isinstance(body, dict):
            return
        status = body.get("status")
        found = {
            "allocation.id": body.get("batchId"),
            "allocation.url": body.get("location", {}).get("href") if "location" in body else None,
            "found.url": status.get("log") if isinstance(status, dict) else None,
        }
        if "url" in body:
            found["allocation.url" if "expiry" in body and "status" not in body else "found.url"] = body["url"]
        self.known |= {name: value for name, value in found.items() if value}

    def _fill(self, text: Any) -> Any:
        if isinstance(text, dict):
            return {name: self._fill(inner) for name, inner in text.items()}
        if isinstance(text, str):
            whole = re.fullmatch(r"\{([\w.]+)\}", text)
            if whole:
                return self.known[whole[1]]
            return re.sub(r"\{([\w.]+)\}", lambda found: str(self.known[found[1]]), text)
        return text


def assert_matches(expected: Mapping[str, Any], response: requests.Response) -> None:
    """Assert that a response has the expected status, headers, JSON members and text."""
    assert response.status_code == expected["status"], response.text[:500]
    for name, value in expected.get("headers", {}).items():
        assert matches(value, response.headers.get(name, "")), (name, response.headers.get(name))
    if "json" in expected:
        found = list(differences(expected["json"], response.json()))
        assert not found, found
    if "says" in expected:
        assert expected["says"] in response.text, response.text[:500]
    if "text" in expected:
        assert response.text == expected["text"], response.text[:500]


def matches(expected: Any, found: Any) -> bool:
    """Return whether a value equals the expected value, or has the expected format."""
    if isinstance(expected, str) and expected in KINDS:
        return isinstance(found, str) and re.fullmatch(KINDS[expected], found) is not None
    if expected == "<number>":
        return isinstance(found, int) and not isinstance(found, bool)
    return type(expected) is type(found) and expected == found


def differences(expected: Any, found: Any, at: str = "") -> Iterator[str]:
    """Yield the differences between expected and actual JSON; additional members are ignored."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, inner in expected.items():
            if inner == "<absent>":
                if name in found:
                    yield f"{at}/{name}: present"
            elif name not in found:
                yield f"{at}/{name}: missing"
            else:
                yield from differences(inner, found[name], f"{at}/{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{at}: {len(found)} items"
        for number, pair in enumerate(zip(expected, found, strict=False)):
            yield from differences(*pair, at=f"{at}/{number}")
    elif not matches(expected, found):
        yield f"{at}: {found!r}"


def _replaced(text: Any, given: Mapping[str, Any], live: Mapping[str, Any]) -> Any:
    if isinstance(text, dict):
        return {name: _replaced(inner, given, live) for name, inner in text.items()}
    for name, value in given.items():
        if text == value:
            return live[name]
        if isinstance(text, str) and isinstance(value, str):
            text = text.replace(value, str(live[name]))
    return text


def _with_ref(record: dict[str, Any], number: int) -> dict[str, Any]:
    return {"ref": f"c56a4180-65aa-42ec-a945-5fd21dec{number:04d}", **record}
