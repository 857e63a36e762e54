"""Documents come whole or not at all, and a hostile one costs little."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from vendor_kit import TARGET, ScriptedServer, answering, asking, half, reset_after_request, silence

from batchsync.errors import AmbiguousOutcomeError, PermanentError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.vendors.http import HttpTransport

    Start = Callable[..., ScriptedServer]


def test_a_download_appears_whole(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    into = tmp_path / "deep" / "results.csv"
    answer = http.download(asking(scripted(answering("200 OK", b"vin\nA\n")).url + TARGET), into)
    assert answer.saved
    assert into.read_bytes() == b"vin\nA\n"
    assert [path.name for path in into.parent.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("script", [half, silence, reset_after_request])
def test_a_download_that_breaks_leaves_nothing(
    script: object, scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    with pytest.raises(AmbiguousOutcomeError):
        http.download(asking(scripted(script).url + TARGET), tmp_path / "in" / "results.csv")
    assert list(tmp_path.rglob("*.*")) == []


def test_a_gzip_document_that_ends_too_early_is_unclear(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    cut = gzip.compress(b"some rows\n" * 1000)[:-9]
    with pytest.raises(AmbiguousOutcomeError, match="ends too early"):
        http.download(asking(scripted(answering("200 OK", cut)).url + TARGET), tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_gzip_document_is_unclear(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b"some rows\n" * 1000))
    whole[20] ^= 0xFF
    with pytest.raises(AmbiguousOutcomeError, match="damaged"):
        http.download(asking(scripted(answering("200 OK", bytes(whole))).url + TARGET), tmp_path / "log")


def test_a_gzip_document_of_several_members_is_kept_as_it_is(
    scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    members = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    http.download(asking(scripted(answering("200 OK", members)).url + TARGET), tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == members


def test_a_coding_that_nobody_asked_for_is_taken_off(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    server = scripted(answering("200 OK", gzip.compress(b'{"a": 1}'), Content_Encoding="gzip"))
    http.download(asking(server.url + TARGET), tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b'{"a": 1}'
    assert http.send(asking(server.url + TARGET)).body == b'{"a": 1}'


@pytest.mark.parametrize("coded", [False, True])
def test_a_gzip_bomb_is_stopped_at_little_cost(
    *, coded: bool, scripted: Start, http: HttpTransport, tmp_path: Path
) -> None:
    bomb = gzip.compress(bytes(60_000_000))
    assert len(bomb) < 100_000
    server = scripted(answering("200 OK", bomb, **({"Content_Encoding": "gzip"} if coded else {})))
    tracemalloc.start()
    with pytest.raises(PermanentError, match="expands to more than"):
        http.download(asking(server.url + TARGET), tmp_path / "log")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_in_an_answer_is_stopped(scripted: Start, http: HttpTransport) -> None:
    server = scripted(answering("200 OK", gzip.compress(bytes(5_000_000)), Content_Encoding="gzip"))
    with pytest.raises(PermanentError, match="expands to more than"):
        http.send(asking(server.url + TARGET))


def test_an_endless_answer_is_stopped(scripted: Start, http: HttpTransport, tmp_path: Path) -> None:
    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    server = scripted(endless)
    with pytest.raises(PermanentError, match="larger than 10,000 bytes"):
        http.send(asking(server.url + "/v2/batches"))
    with pytest.raises(PermanentError, match="larger than 100,000 bytes"):
        http.download(asking(server.url + TARGET), tmp_path / "log")


def test_the_words_of_an_endless_refusal_are_read_and_no_more(scripted: Start, http: HttpTransport) -> None:
    refusal = b"<Code>AccessDenied</Code>" + b" " * 1_000_000
    answer = http.send(asking(scripted(answering("403 Forbidden", refusal)).url + TARGET))
    assert answer.status == 403
    assert answer.body.startswith(b"<Code>AccessDenied")
    assert len(answer.body) == 65_536
