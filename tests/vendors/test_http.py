"""HTTP transport: classification of failures, no retries, no redirects, no leaked credentials."""

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
    close_connection,
    invalid_response,
    make_request,
    no_response,
    reset_after_request,
    respond_with,
    truncated_response,
)

from batchsync.core.vendor_calls import Endpoint, Limits
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
    """Return all texts that a traceback or a log of an error could show."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_refused_connection_is_retryable(http: HttpTransport) -> None:
    with pytest.raises(RetryableError, match=r"connection failed \(Connection refused\)"):
        http.send(make_request(f"http://127.0.0.1:{closed_port()}{TARGET}", "PUT", body=b"x"))


def test_unknown_host_is_retryable(clock: MockedClock) -> None:
    allowed_urls = UrlAllowList(base_url="https://absent.invalid", api_hosts=("absent.invalid",), storage_hosts=())
    http = open_transport(allowed_urls, Limits(connect=timedelta(seconds=2)), clock, "batchsync tests", None)
    with pytest.raises(RetryableError, match="connection failed"):
        http.send(make_request("https://absent.invalid/v2/batches", endpoint=Endpoint.API))


def test_connect_timeout_is_retryable() -> None:
    failure = transport._transport_error(requests.ConnectTimeout(f"https://host/?{SIGNATURE}"), "GET https://host/")
    assert isinstance(failure, RetryableError)
    assert SIGNATURE not in failure.reason


@pytest.mark.parametrize(
    "script", [no_response, reset_after_request, close_connection, truncated_response, invalid_response]
)
def test_incomplete_response_makes_outcome_unknown(script: object, scripted: Start, http: HttpTransport) -> None:
    with pytest.raises(AmbiguousOutcomeError):
        http.send(make_request(scripted(script).url + TARGET, "PUT", body=b"x"))


@pytest.mark.parametrize(
    "script", [no_response, reset_after_request, close_connection, truncated_response, invalid_response]
)
def test_failed_request_is_not_repeated(script: object, scripted: Start, http: HttpTransport) -> None:
    server = scripted(script)
    with pytest.raises(AmbiguousOutcomeError):
        http.send(make_request(server.url + TARGET))
    time.sleep(0.05)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "script", [no_response, reset_after_request, close_connection, truncated_response, invalid_response, "refused"]
)
def test_failed_request_leaves_no_signature_in_errors_and_logs(
    script: object, scripted: Start, http: HttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    url = f"http://127.0.0.1:{closed_port()}" if script == "refused" else scripted(script).url
    with pytest.raises(VendorError) as raised:
        http.send(make_request(url + TARGET))
    shown = chain(raised.value) + caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "urllib3.connectionpool" in caplog.text, "the logs were captured"
    assert "0badc0ffee" not in shown
    assert "X-Goog-Credential" not in shown
    assert "/user-upload/" in raised.value.reason


def test_successful_request_leaves_no_signature_in_logs(
    scripted: Start, http: HttpTransport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)
    http.send(make_request(scripted(respond_with("200 OK", b"{}")).url + TARGET))
    assert "/user-upload/" in caplog.text
    assert "0badc0ffee" not in caplog.text + "".join(repr(vars(record)) for record in caplog.records)


def test_repr_of_request_shows_neither_url_nor_headers() -> None:
    request = make_request(f"https://storage.vendor.example{TARGET}", headers={"Authorization": "Basic 0badc0ffee"})
    assert "0badc0ffee" not in repr(request)


def test_redirect_is_not_followed(scripted: Start, http: HttpTransport) -> None:
    redirect_target = scripted(respond_with("200 OK", b"caught"))
    server = scripted(respond_with("302 Found", Location=redirect_target.url))
    assert http.send(make_request(server.url + "/v2/batches", endpoint=Endpoint.API)).status == 302
    assert redirect_target.heads == []


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
def test_url_outside_of_allow_list_is_refused_without_request(url: str, http: HttpTransport) -> None:
    with pytest.raises(PermanentError):
        http.send(make_request(url))


def test_loopback_is_refused_when_base_url_is_remote(scripted: Start, clock: MockedClock) -> None:
    server = scripted(respond_with("200 OK"))
    allowed_urls = UrlAllowList(
        base_url="https://api.vendor.example", api_hosts=("api.vendor.example",), storage_hosts=()
    )
    http = open_transport(allowed_urls, Limits(), clock, "batchsync tests", None)
    with pytest.raises(PermanentError, match="loopback address"):
        http.send(make_request(server.url + "/x"))
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
def test_asterisk_in_host_matches_within_one_label(pattern: str, host: str, *, allowed: bool) -> None:
    allowed_urls = UrlAllowList(base_url="https://api.vendor.example", api_hosts=(), storage_hosts=(pattern,))
    if allowed:
        allowed_urls.check(f"https://{host}/files/x", Endpoint.STORAGE)
    else:
        with pytest.raises(PermanentError):
            allowed_urls.check(f"https://{host}/files/x", Endpoint.STORAGE)


def test_url_is_sent_unchanged_except_for_case_of_escapes(scripted: Start, http: HttpTransport) -> None:
    server = scripted(respond_with("200 OK"))
    http.send(make_request(server.url + TARGET))
    sent = server.heads[0].split(b" ")[1].decode()
    # urllib3 changes %2f to %2F, which is equivalent in all signature schemes.
    assert sent == TARGET.replace("%2f", "%2F")


def test_netrc_proxies_and_cookies_are_ignored(
    scripted: Start, http: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login alice password 0badc0ffee\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    server = scripted(respond_with("200 OK", b"{}", Set_Cookie="tracking=1"))
    http.send(make_request(server.url + "/a"))
    http.send(make_request(server.url + "/b"))
    heads = b"".join(server.heads).lower()
    assert len(server.heads) == 2
    assert b"authorization" not in heads
    assert b"cookie" not in heads


def test_batch_file_is_sent_with_content_length(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    batch_file = tmp_path / "batch.csv"
    batch_file.write_bytes(b"vin\n" * 500_000)
    server = scripted(respond_with("200 OK"))
    http.send(make_request(server.url + TARGET, "PUT", file=str(batch_file), size=2_000_000))
    head = server.heads[0].lower()
    assert b"content-length: 2000000" in head
    assert b"transfer-encoding" not in head
    assert b"accept-encoding: identity" in head
    assert server.bodies[0] == batch_file.read_bytes()


@pytest.mark.parametrize(("content", "size"), [(b"", 0), (b"longer than recorded", 3), (None, 3)])
def test_batch_file_with_wrong_size_is_not_sent(
    content: bytes | None, size: int, scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    server = scripted(respond_with("200 OK"))
    if content is not None:
        (tmp_path / "batch").write_bytes(content)
    with pytest.raises(PermanentError, match="batch file"):
        http.send(make_request(server.url + TARGET, "PUT", file=str(tmp_path / "batch"), size=size))
    assert server.heads == []


def test_upload_may_stall_longer_than_connect_timeout(scripted: Start, clock: MockedClock, tmp_path: Path) -> None:
    def late(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.5)
        remaining = 20_000_000
        while remaining > 0:
            remaining -= len(connection.recv(1 << 20))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    batch_file = tmp_path / "batch"
    batch_file.write_bytes(b"x" * 20_100_000)
    server = scripted(late, reads_body=False)
    limits = Limits(connect=timedelta(seconds=0.2), read=timedelta(seconds=5))
    http = open_transport(
        UrlAllowList(base_url=server.url, api_hosts=(), storage_hosts=()), limits, clock, "batchsync tests", None
    )
    assert http.send(make_request(server.url + TARGET, "PUT", file=str(batch_file), size=20_100_000)).status == 200


@pytest.mark.parametrize("value", ["0badc0ffee\r\nHost: evil.example", "0badc0ffee-\u043a\u043b\u044e\u0447"])
def test_invalid_header_is_refused_and_not_shown(value: str, scripted: Start, http: HttpTransport) -> None:
    server = scripted(respond_with("200 OK"))
    with pytest.raises(PermanentError, match="cannot be written") as raised:
        http.send(make_request(server.url + "/v2", endpoint=Endpoint.API, headers={"X-Api-Key": value}))
    assert "0badc0ffee" not in chain(raised.value)


def test_html_page_is_not_saved_as_document(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    server = scripted(respond_with("200 OK", b"<html>please sign in</html>", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(AmbiguousOutcomeError, match="HTML page"):
        http.download(make_request(server.url + TARGET), tmp_path / "results.csv")
    assert list(tmp_path.iterdir()) == []


def test_refusal_during_upload_does_not_hang(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    batch_file = tmp_path / "batch"
    batch_file.write_bytes(b"x" * 20_000_000)
    server = scripted(respond_with("400 Bad Request", b"<Code>ExpiredToken</Code>"), reads_body=False)
    with contextlib.suppress(AmbiguousOutcomeError):
        assert http.send(make_request(server.url + TARGET, "PUT", file=str(batch_file), size=20_000_000)).status == 400


def test_slow_response_is_aborted_at_time_limit(scripted: Start, http: HttpTransport, clock: MockedClock) -> None:
    def send_slowly(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.01)

    clock.step = timedelta(minutes=10)
    with pytest.raises(AmbiguousOutcomeError, match="not complete after"):
        http.send(make_request(scripted(send_slowly).url + TARGET))


def test_disk_error_is_not_reported_as_vendor_error(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(UnavailableError) as raised:
        http.download(
            make_request(scripted(respond_with("200 OK", b"x")).url + TARGET), tmp_path / "file" / "results.csv"
        )
    assert SIGNATURE not in chain(raised.value)


def test_invalid_ca_bundle_is_refused(tmp_path: Path, clock: MockedClock) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    allowed_urls = UrlAllowList(base_url="https://localhost", api_hosts=(), storage_hosts=())
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(UnavailableError, match="ca_bundle"):
            open_transport(allowed_urls, Limits(), clock, "batchsync tests", str(path))


def test_each_request_uses_new_connection(scripted: Start, http: HttpTransport) -> None:
    server = scripted(respond_with("200 OK", b"{}", Connection="keep-alive"))
    for _ in range(20):
        assert http.send(make_request(server.url + "/v2/batches", endpoint=Endpoint.API)).status == 200
    assert len(server.heads) == 20


def test_transport_is_thread_safe(scripted: Start, clock: MockedClock) -> None:
    allowed_urls = UrlAllowList(base_url="http://127.0.0.1:1", api_hosts=(), storage_hosts=())
    http = open_transport(allowed_urls, Limits(), clock, "batchsync tests", None)
    server = scripted(respond_with("200 OK", b"{}"))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(http.send(make_request(server.url + TARGET)).status))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 8
