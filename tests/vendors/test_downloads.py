"""Downloads: complete or absent, and bounded in size and memory."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from vendor_kit import (
    TARGET,
    ScriptedServer,
    make_request,
    no_response,
    reset_after_request,
    respond_with,
    truncated_response,
)

from batchsync.errors import AmbiguousOutcomeError, PermanentError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.vendors.http import HttpTransport

    Start = Callable[..., ScriptedServer]


def test_download_appears_complete(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    into = tmp_path / "deep" / "results.csv"
    response = http.download(make_request(scripted(respond_with("200 OK", b"vin\nA\n")).url + TARGET), into)
    assert response.saved
    assert into.read_bytes() == b"vin\nA\n"
    assert [path.name for path in into.parent.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("script", [truncated_response, no_response, reset_after_request])
def test_broken_download_leaves_no_file(script: object, scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    with pytest.raises(AmbiguousOutcomeError):
        http.download(make_request(scripted(script).url + TARGET), tmp_path / "in" / "results.csv")
    assert list(tmp_path.rglob("*.*")) == []


def test_truncated_gzip_document_is_ambiguous(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    cut = gzip.compress(b"some rows\n" * 1000)[:-9]
    with pytest.raises(AmbiguousOutcomeError, match="truncated gzip"):
        http.download(make_request(scripted(respond_with("200 OK", cut)).url + TARGET), tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_damaged_gzip_document_is_ambiguous(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b"some rows\n" * 1000))
    whole[20] ^= 0xFF
    with pytest.raises(AmbiguousOutcomeError, match="damaged"):
        http.download(make_request(scripted(respond_with("200 OK", bytes(whole))).url + TARGET), tmp_path / "log")


def test_gzip_document_with_several_members_is_unchanged(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    members = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    http.download(make_request(scripted(respond_with("200 OK", members)).url + TARGET), tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == members


def test_unrequested_content_encoding_is_removed(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    server = scripted(respond_with("200 OK", gzip.compress(b'{"a": 1}'), Content_Encoding="gzip"))
    http.download(make_request(server.url + TARGET), tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b'{"a": 1}'
    assert http.send(make_request(server.url + TARGET)).body == b'{"a": 1}'


@pytest.mark.parametrize("coded", [False, True])
def test_gzip_bomb_is_stopped_in_bounded_memory(
    *, coded: bool, scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    bomb = gzip.compress(bytes(60_000_000))
    assert len(bomb) < 100_000
    server = scripted(respond_with("200 OK", bomb, **({"Content_Encoding": "gzip"} if coded else {})))
    tracemalloc.start()
    with pytest.raises(PermanentError, match="expands to more than"):
        http.download(make_request(server.url + TARGET), tmp_path / "log")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert list(tmp_path.iterdir()) == []


def test_gzip_bomb_in_response_is_stopped(scripted: Start, http: HttpTransport) -> None:
    server = scripted(respond_with("200 OK", gzip.compress(bytes(5_000_000)), Content_Encoding="gzip"))
    with pytest.raises(PermanentError, match="expands to more than"):
        http.send(make_request(server.url + TARGET))


def test_an_endless_answer_is_stopped(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    server = scripted(endless)
    with pytest.raises(PermanentError, match="larger than 10,000 bytes"):
        http.send(make_request(server.url + "/v2/batches"))
    with pytest.raises(PermanentError, match="larger than 100,000 bytes"):
        http.download(make_request(server.url + TARGET), tmp_path / "log")


def test_endless_error_body_is_cut(scripted: Start, http: HttpTransport) -> None:
    refusal = b"<Code>AccessDenied</Code>" + b" " * 1_000_000
    response = http.send(make_request(scripted(respond_with("403 Forbidden", refusal)).url + TARGET))
    assert response.status == 403
    assert response.body.startswith(b"<Code>AccessDenied")
    assert len(response.body) == 65_536
