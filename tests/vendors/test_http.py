"""The way out keeps its promises: three kinds of failure, nothing repeated, nothing followed, nothing leaked."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from vendor_kit import (
    SIGNATURE,
    TARGET,
    MockedClock,
    ScriptedServer,
    answering,
    asking,
    garbage,
    half,
    nothing,
    reset_after_request,
    silence,
)

from batchsync.core.vendor_rules import Endpoint, Limits
from batchsync.errors import AmbiguousOutcomeError, PermanentError, RetryableError, UnavailableError, VendorError
from batchsync.vendors import http as transport
from batchsync.vendors.allowed_urls import UrlAllowList
from batchsync.vendors.http import HttpTransport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., ScriptedServer]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def chain(error: BaseException | None) -> str:
    """Return everything that a traceback or a log of this error could show."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_a_refused_connection_did_not_happen(http: HttpTransport) -> None:
    with pytest.raises(RetryableError, match=r"no connection \(Connection refused\)"):
        http.send(asking(f"http://127.0.0.1:{closed_port()}{TARGET}", "PUT", body=b"x"))


def test_an_unknown_host_did_not_happen(clock: MockedClock) -> None:
    doors = UrlAllowList(base_url="https://nobody.invalid", api_hosts=("nobody.invalid",), storage_hosts=())
    http = open_transport(doors, Limits(connect=timedelta(seconds=2)), clock, "batchsync tests", None)
    with pytest.raises(RetryableError, match="no connection"):
        http.send(asking("https://nobody.invalid/v2/batches", door=Endpoint.API))


def test_a_connection_that_is_not_made_in_time_did_not_happen() -> None:
    failure = transport._transport_error(requests.ConnectTimeout(f"https://host/?{SIGNATURE}"), "GET https://host/")
    assert isinstance(failure, RetryableError)
    assert SIGNATURE not in failure.reason


@pytest.mark.parametrize("script", [silence, reset_after_request, nothing, half, garbage])
def test_a_request_without_a_whole_answer_is_unclear(script: object, scripted: Start, http: HttpTransport) -> None:
    with pytest.raises(AmbiguousOutcomeError):
        http.send(asking(scripted(script).url + TARGET, "PUT", body=b"x"))


@pytest.mark.parametrize("script", [silence, reset_after_request, nothing, half, garbage])
def test_no_request_is_repeated(script: object, scripted: Start, http: HttpTransport) -> None:
    server = scripted(script)
    with pytest.raises(AmbiguousOutcomeError):
        http.send(asking(server.url + TARGET))
    time.sleep(0.05)
    assert len(server.heads) == 1


@pytest.mark.parametrize("script", [silence, reset_after_request, nothing, half, garbage, "refused"])
def test_no_signature_gets_into_errors_or_logs(
    script: object, scripted: Start, http: HttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    url = f"http://127.0.0.1:{closed_port()}" if script == "refused" else scripted(script).url
    with pytest.raises(VendorError) as raised:
        http.send(asking(url + TARGET))
    shown = chain(raised.value) + caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "urllib3.connectionpool" in caplog.text, "the logs were there to be searched"
    assert "0badc0ffee" not in shown
    assert "X-Goog-Credential" not in shown
    assert "/user-upload/" in raised.value.reason


def test_a_good_answer_leaves_no_signature_in_the_log(
    scripted: Start, http: HttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)
    http.send(asking(scripted(answering("200 OK", b"{}")).url + TARGET))
    assert "/user-upload/" in caplog.text
    assert "0badc0ffee" not in caplog.text + "".join(repr(vars(record)) for record in caplog.records)


def test_a_request_shows_neither_url_nor_headers_when_printed() -> None:
    request = asking(f"https://storage.vendor.example{TARGET}", headers={"Authorization": "Basic 0badc0ffee"})
    assert "0badc0ffee" not in repr(request)


def test_a_redirect_is_not_followed(scripted: Start, http: HttpTransport) -> None:
    elsewhere = scripted(answering("200 OK", b"caught"))
    server = scripted(answering("302 Found", Location=elsewhere.url))
    assert http.send(asking(server.url + "/v2/batches", door=Endpoint.API)).status == 302
    assert elsewhere.heads == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/user-upload/x",
        "https://storage.vendor.example.evil.example/x",
        "https://evil.example/?x=storage.vendor.example",
        "https://storage.vendor.example@evil.example/x",
        "https://evil.example\\@storage.vendor.example/x",
        "https://evil.example#@storage.vendor.example/x",
        "https://storage.vendor.example:8443/x",
        "http://storage.vendor.example/x",
        "https://api.vendor.example/x",
        "file:///etc/passwd",
        "ftp://storage.vendor.example/x",
        "https://storage.vendor.example/\r\nHost: evil.example",
        "https://0x7f000001/x",
        "//storage.vendor.example/x",
        "",
    ],
)
def test_a_foreign_address_is_refused_before_anything_is_sent(url: str, http: HttpTransport) -> None:
    with pytest.raises(PermanentError):
        http.send(asking(url))


def test_this_machine_is_refused_when_the_vendor_is_elsewhere(scripted: Start, clock: MockedClock) -> None:
    server = scripted(answering("200 OK"))
    doors = UrlAllowList(base_url="https://api.vendor.example", api_hosts=("api.vendor.example",), storage_hosts=())
    http = open_transport(doors, Limits(), clock, "batchsync tests", None)
    with pytest.raises(PermanentError, match="this machine"):
        http.send(asking(server.url + "/x"))
    assert server.heads == []


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("store-*.s3.*.amazonaws.com", "store-eu.s3.eu-west-1.amazonaws.com", True),
        ("store-*.s3.*.amazonaws.com", "store-eu.evil.s3.eu-west-1.amazonaws.com", False),
        ("store-*.s3.*.amazonaws.com", "evil.s3.eu-west-1.amazonaws.com", False),
        ("store-*.s3.*.amazonaws.com", "store-eu.s3.eu-west-1.amazonaws.com.evil.example", False),
        ("storage.googleapis.com", "STORAGE.googleapis.com", True),
        ("storage.googleapis.com", "storageXgoogleapis.com", False),
    ],
)
def test_a_star_in_a_host_stands_for_part_of_one_label(pattern: str, host: str, *, allowed: bool) -> None:
    doors = UrlAllowList(base_url="https://api.vendor.example", api_hosts=(), storage_hosts=(pattern,))
    if allowed:
        doors.check(f"https://{host}/x", Endpoint.STORAGE)
    else:
        with pytest.raises(PermanentError):
            doors.check(f"https://{host}/x", Endpoint.STORAGE)


def test_a_url_is_sent_byte_for_byte_but_for_the_case_of_escapes(scripted: Start, http: HttpTransport) -> None:
    server = scripted(answering("200 OK"))
    http.send(asking(server.url + TARGET))
    sent = server.heads[0].split(b" ")[1].decode()
    # urllib3 writes %2f as %2F, which every signature scheme reads as the same.
    assert sent == TARGET.replace("%2f", "%2F")


def test_neither_netrc_nor_proxies_nor_cookies_are_taken_from_the_surroundings(
    scripted: Start, http: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password 0badc0ffee\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    server = scripted(answering("200 OK", b"{}", Set_Cookie="tracking=1"))
    http.send(asking(server.url + "/a"))
    http.send(asking(server.url + "/b"))
    heads = b"".join(server.heads).lower()
    assert len(server.heads) == 2
    assert b"authorization" not in heads
    assert b"cookie" not in heads


def test_a_sealed_file_goes_out_whole_with_its_length(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    sealed = tmp_path / "batch.csv"
    sealed.write_bytes(b"vin\n" * 500_000)
    server = scripted(answering("200 OK"))
    http.send(asking(server.url + TARGET, "PUT", file=str(sealed), size=2_000_000))
    head = server.heads[0].lower()
    assert b"content-length: 2000000" in head
    assert b"transfer-encoding" not in head
    assert b"accept-encoding: identity" in head
    assert server.bodies[0] == sealed.read_bytes()


@pytest.mark.parametrize(("content", "size"), [(b"", 0), (b"longer than sealed", 3), (None, 3)])
def test_a_file_that_is_not_what_was_sealed_is_not_sent(
    content: bytes | None, size: int, scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    server = scripted(answering("200 OK"))
    if content is not None:
        (tmp_path / "batch").write_bytes(content)
    with pytest.raises(PermanentError, match="sealed"):
        http.send(asking(server.url + TARGET, "PUT", file=str(tmp_path / "batch"), size=size))
    assert server.heads == []


def test_an_upload_may_stall_for_longer_than_a_connection(scripted: Start, clock: MockedClock, tmp_path: Path) -> None:
    def late(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.5)
        left = 20_000_000
        while left > 0:
            left -= len(connection.recv(1 << 20))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    sealed = tmp_path / "batch"
    sealed.write_bytes(b"x" * 20_100_000)
    server = scripted(late, reads_body=False)
    limits = Limits(connect=timedelta(seconds=0.2), read=timedelta(seconds=5))
    http = open_transport(
        UrlAllowList(base_url=server.url, api_hosts=(), storage_hosts=()), limits, clock, "batchsync tests", None
    )
    assert http.send(asking(server.url + TARGET, "PUT", file=str(sealed), size=20_100_000)).status == 200


@pytest.mark.parametrize("value", ["0badc0ffee\r\nHost: evil.example", "0badc0ffee-\u043a\u043b\u044e\u0447"])
def test_a_header_that_cannot_be_written_is_refused_and_not_shown(
    value: str, scripted: Start, http: HttpTransport
) -> None:
    server = scripted(answering("200 OK"))
    with pytest.raises(PermanentError, match="cannot be written") as raised:
        http.send(asking(server.url + "/v2", door=Endpoint.API, headers={"X-Api-Key": value}))
    assert "0badc0ffee" not in chain(raised.value)


def test_a_page_for_people_is_no_document(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    server = scripted(answering("200 OK", b"<html>please sign in</html>", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(AmbiguousOutcomeError, match="page for people"):
        http.download(asking(server.url + TARGET), tmp_path / "results.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_during_an_upload_is_a_refusal_or_unclear_and_never_a_hang(
    scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    sealed = tmp_path / "batch"
    sealed.write_bytes(b"x" * 20_000_000)
    server = scripted(answering("400 Bad Request", b"<Code>ExpiredToken</Code>"), reads_body=False)
    with contextlib.suppress(AmbiguousOutcomeError):
        assert http.send(asking(server.url + TARGET, "PUT", file=str(sealed), size=20_000_000)).status == 400


def test_an_answer_that_drips_is_not_waited_for_without_end(
    scripted: Start, http: HttpTransport, clock: MockedClock
) -> None:
    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _turn in range(100):
            connection.sendall(b"x")
            time.sleep(0.01)

    clock.step = timedelta(minutes=10)
    with pytest.raises(AmbiguousOutcomeError, match="still coming"):
        http.send(asking(scripted(drip).url + TARGET))


def test_a_disk_that_takes_nothing_is_our_trouble_and_not_the_vendors(
    scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError) as raised:
        http.download(asking(scripted(answering("200 OK", b"x")).url + TARGET), tmp_path / "file" / "results.csv")
    assert SIGNATURE not in chain(raised.value)


def test_what_is_no_file_of_certificates_is_refused_at_once(tmp_path: Path, clock: MockedClock) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    doors = UrlAllowList(base_url="https://localhost", api_hosts=(), storage_hosts=())
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(UnavailableError, match="ca_bundle"):
            open_transport(doors, Limits(), clock, "batchsync tests", str(path))


def test_a_connection_that_the_vendor_closed_meanwhile_is_not_used_again(scripted: Start, http: HttpTransport) -> None:
    server = scripted(answering("200 OK", b"{}", Connection="keep-alive"))
    for _ in range(20):
        assert http.send(asking(server.url + "/v2/batches", door=Endpoint.API)).status == 200
    assert len(server.heads) == 20


def test_threads_do_not_disturb_each_other(scripted: Start, clock: MockedClock) -> None:
    doors = UrlAllowList(base_url="http://127.0.0.1:1", api_hosts=(), storage_hosts=())
    http = open_transport(doors, Limits(), clock, "batchsync tests", None)
    server = scripted(answering("200 OK", b"{}"))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(http.send(asking(server.url + TARGET)).status)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 8
