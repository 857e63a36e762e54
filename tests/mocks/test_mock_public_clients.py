"""The requests of eight public clients of Sitecore's Batch API, made here as their code makes them, and their answers.

docs/mocks.md, "Public clients", describes the clients; the names are the keys of this project's vendor reference. No
code and no credentials of them are used.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import re
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from mock_clients import SITECORE, named, record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync_mocks import Running

JSON = {"Accept": "application/json", "Content-Type": "application/json"}
GUEST = record("guest", "upsert", guestType="customer", identifiers=named("1"))
REFUSED = record("guest", "insert", guestType="customer", identifiers=named("2"))


@dataclass
class Api:
    """Connections as a client opens them: exactly its headers, with those that HTTP demands."""

    mocks: Running
    ref: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def batch(self) -> str:
        return f"{self.mocks.urls[SITECORE]}/v2/batches/{self.ref}"

    @property
    def basic(self) -> dict[str, str]:
        pair = ":".join(self.mocks.credentials(SITECORE).values())
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        target = urlsplit(url)
        with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as connection:
            path = target.path + (f"?{target.query}" if target.query else "")
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())

    def deliver(self, data: bytes, **more: str) -> None:
        """Allocate and upload in the usual way; further headers go to storage."""
        body = json.dumps({"checksum": md5(data), "size": len(data)}).encode()
        href = self.ask("PUT", self.batch, {**JSON, **self.basic}, body).href
        assert self.ask("PUT", href, storage(data, **more), data).status == 200

    def status(self, headers: Mapping[str, str]) -> dict[str, Any]:
        answer = self.ask("GET", self.batch, {**self.basic, **headers})
        assert answer.status == 200
        found: dict[str, Any] = json.loads(answer.body)["status"]
        return found


@dataclass
class Answer:
    """An answer as it arrived: nothing is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def href(self) -> str:
        assert self.status == 200, self.body
        return str(json.loads(self.body)["location"]["href"])


@pytest.fixture
def api(mocks: Running) -> Api:
    return Api(mocks)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def storage(data: bytes, **more: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(md5(data))).decode()
    return {"x-amz-server-side-encryption": "AES256", "Content-Md5": digest, **more}


def zipped(*records: dict[str, Any], end: str = "\n", start: str = "") -> bytes:
    return gzip.compress((start + "".join(json.dumps(item) + end for item in records)).encode())


def test_sdk_of_dotnet(api: Api) -> None:
    # Lines end as Windows writes them; the body is compact JSON without `Accept`; no Content-Type on the upload.
    data = zipped(GUEST, REFUSED, end="\r\n")
    body = json.dumps({"checksum": md5(data), "size": len(data)}, separators=(",", ":")).encode()
    href = api.ask("PUT", api.batch, {**api.basic, "Content-Type": "application/json"}, body).href
    answer = api.ask("PUT", href, storage(data, Accept="application/json"), data)
    assert (answer.status, answer.body) == (200, b"")
    api.mocks.advance(15)
    status = api.status({})
    assert status["code"] == "error"
    # It asks for gzip and unpacks the file itself: an encoding of HTTP would be unpacked twice or not at all.
    log = api.ask("GET", status["log"], {"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in log.headers
    (line,) = gzip.decompress(log.body).splitlines()
    assert json.loads(line)["ref"] == REFUSED["ref"]
    # It reads `message` and `developerMessage` of errors.
    error = api.ask("GET", f"{api.batch}0", api.basic)
    assert (error.status, {"message", "developerMessage"} <= json.loads(error.body).keys()) == (404, True)


def test_agehlot_in_python(api: Api) -> None:
    # The size is text, and the last record has no line end.
    data = gzip.compress("\n".join(map(json.dumps, (GUEST, GUEST))).encode())
    body = json.dumps({"checksum": md5(data), "size": str(len(data))}).encode()
    requested = {"User-Agent": "python-requests/2", "Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}
    allocated = api.ask("PUT", api.batch, {**api.basic, **requested, **JSON}, body)
    assert json.loads(allocated.body)["size"] == len(data)
    assert api.ask("PUT", allocated.href, {**requested, "Accept": "*/*", **storage(data)}, data).status == 200
    api.mocks.advance(15)
    assert api.status({}) == {"code": "success"}
    assert api.mocks.batches(SITECORE)[0]["counts"]["read"] == 2


def test_shell_script(api: Api) -> None:
    # `wc -c` of macOS pads the size, which stands in the body as it is; `curl -T` waits for `100 Continue`.
    data = zipped(GUEST)
    body = f'{{"checksum":"{md5(data)}", "size":     {len(data)}}}'.encode()
    curl = {"User-Agent": "curl/8", "Accept": "*/*"}
    href = api.ask("PUT", api.batch, {**curl, **api.basic, **JSON}, body).href
    target = urlsplit(href)
    with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as connection:
        connection.putrequest("PUT", f"{target.path}?{target.query}", skip_accept_encoding=True)
        for name, value in {
            **curl,
            **storage(data),
            "Content-Length": str(len(data)),
            "Expect": "100-continue",
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(data)
        assert connection.getresponse().status == 200
    assert api.status({"Accept": "application/json"})["code"] == "uploading"


def test_node_script(api: Api) -> None:
    # It polls every five seconds until a status has a log, which only one with errors has.
    data = zipped(GUEST, REFUSED)
    body = json.dumps({"checksum": md5(data), "size": len(data)}, separators=(",", ":")).encode()
    node = {"User-Agent": "node-fetch", "Accept-Encoding": "gzip, deflate, br", "Connection": "close"}
    href = api.ask("PUT", api.batch, {**node, **JSON, **api.basic}, body).href
    assert api.ask("PUT", href, {**node, **storage(data, Accept="application/json")}, data).status == 200
    seen = []
    while "log" not in (status := api.status({**node, "Accept": "application/json"})):
        seen.append(status["code"])
        api.mocks.advance(5)
    # The plain endpoint shows `uploading` until the batch leaves the queue.
    assert (seen, status["code"]) == (["uploading", "processing", "processing"], "error")
    done = Api(api.mocks)
    data = zipped(GUEST)
    done.deliver(data)
    api.mocks.advance(3600)
    assert done.status({}) == {"code": "success"}, "a batch without errors has no log, for which the script waits"


def test_kamil_reads_logs_as_text(api: Api) -> None:
    # Lines are not parsed: those with `"code":"4` are errors.
    data = zipped(GUEST, REFUSED, record("guest", "delete", email="unknown@example.com"))
    api.deliver(data)
    api.mocks.advance(15)
    lines = gzip.decompress(api.ask("GET", api.status({})["log"], {}).body).decode().splitlines()
    assert [line.count('"code":"4') for line in lines] == [1, 1]
    api.mocks.switch(SITECORE, log_successes=True)
    later = Api(api.mocks)
    later.deliver(data)
    api.mocks.advance(15)
    lines = gzip.decompress(later.ask("GET", later.status({})["log"], {}).body).decode().splitlines()
    assert [line.count('"code":"4') for line in lines] == [0, 1, 1]


def test_mixxr_writes_a_byte_order_mark(api: Api) -> None:
    # The mark makes the first record unreadable; the others arrive.
    data = zipped(GUEST, record("guest", "upsert", identifiers=named("3")), start="\ufeff")
    api.deliver(data)
    api.mocks.advance(15)
    (line,) = gzip.decompress(api.ask("GET", api.status({})["log"], {}).body).splitlines()
    assert json.loads(line) == {"ref": "null", "code": "400", "message": "Failed to parse import line"}
    assert len(api.mocks.store(SITECORE)) == 1


def test_kezhan_in_powershell(api: Api) -> None:
    # PowerShell writes hashes in upper case; with that checksum the batch is corrupted, though the upload is accepted.
    data = zipped(GUEST, REFUSED)
    for checksum, code in ((md5(data).upper(), "corrupted"), (md5(data), "error")):
        own = Api(api.mocks)
        body = json.dumps({"checksum": checksum, "size": len(data)}).encode()
        href = own.ask("PUT", own.batch, {**own.basic, "Content-Type": "application/json"}, body).href
        assert own.ask("PUT", href, storage(data), data).status == 200
        api.mocks.advance(15)
        status = own.status({})
        assert status["code"] == code
    # The log is opened in a browser, without credentials, and arrives as a file.
    log = own.ask("GET", status["log"], {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br"})
    assert (log.status, log.headers["Content-Type"]) == (200, "application/gzip")
    assert re.fullmatch(
        rb'\{"ref":"[0-9a-f-]{36}","code":"402","message":"Unsupported mode"\}\n', gzip.decompress(log.body)
    )


def test_mishra_with_curl(api: Api) -> None:
    # The body is indented JSON. Storage refuses the credentials of the API, of which the page warns.
    data = zipped(GUEST)
    body = json.dumps({"checksum": md5(data), "size": len(data)}, indent=4).encode()
    curl = {"User-Agent": "curl/8", "Accept": "application/json"}
    href = api.ask("PUT", api.batch, {**curl, **api.basic, "Content-Type": "application/json"}, body).href
    doubly = api.ask("PUT", href, {**api.basic, **storage(data)}, data)
    assert (doubly.status, b"<Code>InvalidArgument</Code>" in doubly.body) == (400, True)
    # `curl --data-binary` sends the type of a form unless another is named, as the documentation does.
    for kind in ("application/x-www-form-urlencoded", "application/gzip"):
        assert api.ask("PUT", href, storage(data, **{"Content-Type": kind}), data).status == 200
    api.mocks.advance(15)
    assert api.status(curl) == {"code": "success"}
