"""Access to the control API: token, Host and Origin of every page, and addresses behind which the mocks are found."""

from __future__ import annotations

import html
import http.client
import json
import re
import subprocess
import sys
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from mock_clients import GOOD_CSV, MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, record
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

from batchsync_mocks import Fault, serve
from batchsync_mocks.access import AccessDeniedError, control_access
from batchsync_mocks.control import _OPEN_PAGES, _PAGES

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks import Running

#: Body of a request that would be accepted, by page.
BODIES = {"clock": b'{"advance": 60}', "faults": b'{"kind": "refuse"}', "switches": b'{"create_status": 200}'}
FOREIGN_HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example:80",
    "user@localhost",
    "localhost, evil.example",
    "127.1",
    "2130706433",
    "192.0.2.1",
    "[2001:db8::1]",
    "",
)
FOREIGN_ORIGINS = (
    "https://evil.example",
    "http://localhost",
    "http://127.0.0.1:1",
    "null",
    "",
    "file://",
    "chrome-extension://abc",
)


def ask(running: Running, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Send a request with exactly these headers, and Host unless it is among them; return status and body."""
    target = urlsplit(running.urls[MOTORWEB])
    with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, text in headers.items():
            connection.putheader(name, text)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read()


def state(running: Running) -> list[Any]:
    """Return everything that a control page could change."""
    vendors = (MOTORWEB, SITECORE)
    parts = [[running.batches(name), running.ledger(name), running.store(name)] for name in vendors]
    return [
        *parts,
        running.faults(),
        [running.switches(name) for name in vendors],
        running.clock.report(),
        running.of(MOTORWEB).running._context.vendors[MOTORWEB].state.generation,
    ]


def with_batches(running: Running) -> None:
    MotorwebClient(running).send(GOOD_CSV)
    SitecoreClient(running).submit(record("guest", "upsert", email="private@example.com"))
    running.arm(Fault(kind="refuse", path="/never"))


def refused_headers(running: Running) -> dict[str, tuple[int, dict[str, str]]]:
    """Return the status and the headers of requests that must be refused, by their fault."""
    token = running.control_headers
    port = urlsplit(running.urls[MOTORWEB]).port
    short = {"Authorization": f"Bearer {running.control_token[:-1]}"}
    return {
        "no token": (401, {}),
        "empty token": (401, {"Authorization": "Bearer "}),
        "wrong token": (401, {"Authorization": "Bearer not-the-control-token"}),
        "part of the token": (401, short),
        "token not in ASCII": (401, {"Authorization": "Bearer t\u00f6ken"}),
        "another scheme": (401, {"Authorization": f"Basic {running.control_token}"}),
        **{f"host {host!r}": (403, {**token, "Host": host}) for host in FOREIGN_HOSTS},
        **{f"host {host!r} and its port": (403, {**token, "Host": f"{host}:{port}"}) for host in FOREIGN_HOSTS[:3]},
        **{f"origin {origin!r}": (403, {**token, "Origin": origin}) for origin in FOREIGN_ORIGINS},
        "rebound host and its own origin": (403, {**token, "Host": "evil.example", "Origin": "http://evil.example"}),
    }


@pytest.mark.parametrize(("method", "page"), sorted(_PAGES))
def test_page_refuses_each_request_without_token_or_of_another_site(mocks: Running, method: str, page: str) -> None:
    with_batches(mocks)
    before = state(mocks)
    body = mocks.snapshot() if page == "restore" else BODIES.get(page, b"{}") if method == "POST" else b""
    needs_token = (method, page) not in _OPEN_PAGES
    for fault, (status, headers) in refused_headers(mocks).items():
        if status == 403 or needs_token:
            answer, text = ask(mocks, method, f"/_mock/{page}", body, **headers)
            assert (answer, bool(json.loads(text)["error"])) == (status, True), fault
            assert mocks.control_token.encode() not in text, fault
            assert b"private@" not in text, fault
            assert state(mocks) == before, fault
        else:
            assert ask(mocks, method, f"/_mock/{page}", body, **headers)[0] == 200, fault
    origin = mocks.urls[MOTORWEB]
    assert ask(mocks, method, f"/_mock/{page}", body, **mocks.control_headers, Origin=origin)[0] == 200
    assert method == "GET" or page == "restore" or state(mocks) != before


def test_only_pages_that_change_nothing_and_show_no_values_need_no_token(mocks: Running) -> None:
    with_batches(mocks)
    assert {method for method, _ in _OPEN_PAGES} == {"GET"}
    for _, page in _OPEN_PAGES:
        text = ask(mocks, "GET", f"/_mock/{page}")[1]
        assert b"private@example.com" not in text
        assert b"1HGCM82633A004352" not in text
        assert mocks.control_token.encode() not in text


@pytest.mark.parametrize(
    ("query", "status"),
    [("summary=1", 200), ("values=1", 401), ("summary=0", 401), ("summary=2&summary=1", 401), ("Summary=1", 401)],
)
def test_summary_of_the_ledger_needs_no_token(mocks: Running, query: str, status: int) -> None:
    with_batches(mocks)
    answer, text = ask(mocks, "GET", f"/_mock/ledger?vendor={SITECORE}&{query}")
    assert answer == status
    assert b"private@" not in text


@pytest.mark.parametrize(
    "path", ["/_mock", "/_mock/", "/_mock/clock/", "/%5Fmock/clock", "/_mock/%63lock", "//_mock/clock"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "PUT"])
def test_no_spelling_of_a_path_passes_by_the_check(mocks: Running, path: str, method: str) -> None:
    before = state(mocks)
    assert ask(mocks, method, path, b'{"advance": 60}', Host="evil.example")[0] in {403, 404}
    assert ask(mocks, method, path, b'{"advance": 60}')[0] in ({200, 404} if method == "GET" else {401, 404})
    assert state(mocks) == before


def test_absolute_request_target_counts_as_host(mocks: Running) -> None:
    target = urlsplit(mocks.urls[MOTORWEB])
    assert ask(mocks, "GET", "http://evil.example/_mock/clock", Host=target.netloc)[0] == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.9.9", "[::1]", "localhost:8080"]
)
def test_loopback_names_are_accepted_with_any_port(mocks: Running, host: str) -> None:
    assert ask(mocks, "GET", "/_mock/clock", Host=host)[0] == 200
    assert ask(mocks, "GET", "/_mock/clock", Host=host, Origin=f"http://{host}")[0] == 200


def test_allowed_host_is_accepted_and_others_still_are_not() -> None:
    with serve([MOTORWEB], allow_hosts=["Mocks.internal", "192.0.2.7"]) as running:
        for host in ("mocks.internal", "MOCKS.internal:8080", "192.0.2.7", "127.0.0.1"):
            assert ask(running, "GET", "/_mock/clock", Host=host)[0] == 200, host
        for host in ("internal", "x.mocks.internal", "192.0.2.8"):
            assert ask(running, "GET", "/_mock/clock", Host=host)[0] == 403, host


class Connection:
    """A connection that was accepted at a given address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def getsockname(self) -> tuple[str, int]:
        return self.address, 8080


@pytest.mark.parametrize(("address", "host"), [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]")])
def test_address_that_the_client_is_connected_to_is_accepted(address: str, host: str) -> None:
    access = control_access(None, "", ())
    for at, is_accepted in ((address, True), ("192.0.2.8", False), ("127.0.0.1", False)):
        environ = {"HTTP_HOST": f"{host}:8080", "werkzeug.socket": Connection(at)}
        request = Request(create_environ("/_mock/clock") | environ)
        with nullcontext() if is_accepted else pytest.raises(AccessDeniedError):
            access.check_sender(request)


@pytest.mark.parametrize("name", ["*", "mocks.internal:8080", "http://mocks.internal", "", "a b", "a,b"])
def test_invalid_allowed_host_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a host"):
        serve([MOTORWEB], allow_hosts=[name])


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 600, "sixteen letters with blanks", "line\nbreak-line-break", "\u00fc" * 16]
)
def test_invalid_control_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="control token has 16 to 512"):
        serve([MOTORWEB], control_token=token)


def test_vendor_pages_need_no_control_token(mocks: Running) -> None:
    assert MotorwebClient(mocks).create().status_code == 201
    assert ask(mocks, "GET", "/batch/v1/batches", Host="api.tst.motorweb.app", Origin="https://evil.example")[0] == 401


def test_token_is_random_unless_given() -> None:
    with serve([MOTORWEB], seed=7) as one, serve([MOTORWEB], seed=7) as two:
        assert one.control_token != two.control_token
        assert len(one.control_token) >= 32
        assert one.of(MOTORWEB).control_headers == {"Authorization": f"Bearer {one.control_token}"}
        assert one.control_token not in repr(one._context.access)
    fixed = "a-token-of-the-test"
    with serve([MOTORWEB], control_token=fixed) as running:
        assert running.control_token == running.ready()["control_token"] == fixed


@pytest.mark.parametrize("source", ["variable", "file", "file before variable"])
def test_token_of_the_command_line(tmp_path: Path, source: str) -> None:
    fixed, file = "a-token-of-the-operator", tmp_path / "token"
    command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB, "--exit-with-stdin"]
    environ = {} if source == "file" else {"BATCHSYNC_MOCKS_TOKEN": fixed if source == "variable" else "x" * 20}
    if source != "variable":
        file.write_text(f"{fixed}\n")
        command += ["--control-token-file", str(file)]
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["control_token"] == fixed


def test_short_token_is_reported_without_its_value() -> None:
    command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB]
    environ = {"BATCHSYNC_MOCKS_TOKEN": "hunter2"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "hunter2" not in done.stderr


def test_missing_token_file_is_reported_in_a_single_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB, "--control-token-file", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


def test_status_page_contains_no_token_and_cannot_be_embedded(mocks: Running) -> None:
    target = urlsplit(mocks.urls[MOTORWEB])
    with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as connection:
        connection.request("GET", "/_mock/")
        response = connection.getresponse()
        text = response.read().decode()
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert response.headers["Cache-Control"] == "no-store"
    assert mocks.control_token not in text
    assert re.search(r'<input id="token" type="password"', text)
    assert "token=" not in html.unescape(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


def test_buttons_of_the_status_page_send_the_token_to_existing_pages(mocks: Running) -> None:
    mocks.arm(Fault(kind="refuse"))
    text = ask(mocks, "GET", "/_mock/")[1].decode()
    buttons = re.findall(r'data-method="([^"]*)" data-path="([^"]*)" data-body="([^"]*)"', text)
    assert len(buttons) >= 9
    for method, path, body in buttons:
        sent = html.unescape(body).encode()
        assert ask(mocks, method, f"/_mock/{path}", sent, **mocks.control_headers)[0] == 200
    assert 'Authorization: "Bearer " + token.value' in text
