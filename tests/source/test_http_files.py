"""Files of HTTP servers: landed whole and from one version of the file, or not at all."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.job import Source
from batchsync.core.object_storage import Storage, StoredFiles
from batchsync.errors import SourceError, UnavailableError
from batchsync.ports import StorageAccess
from batchsync.source import check_storage, fetch
from kit.scripted_server import Answer, Request, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(100_000))
NEWER = CONTENT.replace(b"name 5\n", b"name 6\n")


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of one file."""
    with Site() as server:
        yield server


class Site(ScriptedServer):
    """A server of the file /exports/guests.csv, which cuts the bodies of the first answers."""

    def __init__(self) -> None:
        """Serve the content with an ETag."""
        super().__init__(self._decide)
        self.content, self.etag = CONTENT, '"one"'
        self.cuts: list[int] = []
        self.ranges = True
        self.after_cut = lambda: None

    def _decide(self, request: Request) -> Answer:
        headers = {"ETag": self.etag} if self.etag else {}
        if request.path != "/exports/guests.csv":
            return Answer(status=404)
        start = 0
        status, body, cut = 200, self.content, self.cuts.pop(0) if self.cuts else None
        if self.ranges and (found := re.fullmatch(r"bytes=([0-9]+)-", request.headers.get("range", ""))):
            if request.headers.get("if-match", self.etag) != self.etag:
                return Answer(status=412)
            start, status = int(found[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        answer = Answer(status=status, headers=headers, body=body[start:], cut=cut)
        if cut is not None:
            self.after_cut()
        return answer


def landed(
    site: ScriptedServer,
    into: Path,
    path: str = "guests.csv",
    progress: list[int] | None = None,
    access: dict[str, str] | None = None,
) -> Source:
    """Return the source as fetched."""
    storage = Storage(name="site", kind="http", url=f"{site.url}/exports/")
    source = Source(
        path=f"site: {path}", folder=str(into.parent), key=("id",), stored=StoredFiles(storage=storage, path=path)
    )
    seen = progress if progress is not None else []
    return fetch(source, into, access=lambda _: StorageAccess(credentials=access or {}), progress=seen.append)


def content(source: Source) -> bytes:
    """Return the bytes of the only part, which must have its digest."""
    (part,) = source.parts
    data = Path(part.path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == part.sha256
    return data


def test_file_is_landed_by_one_request(site: Site, tmp_path: Path) -> None:
    progress: list[int] = []
    source = landed(site, tmp_path / "into", progress=progress)
    assert content(source) == CONTENT
    assert source.version == '"one"'
    assert progress[-1] == len(CONTENT)
    assert len(site.requests) == 1
    assert site.requests[0].headers["accept-encoding"] == "identity"


def test_broken_connections_are_continued_under_the_same_etag(site: Site, tmp_path: Path) -> None:
    site.cuts = [100_000, 200_000]
    assert content(landed(site, tmp_path / "into")) == CONTENT
    assert [item.headers.get("range", "") for item in site.requests] == ["", "bytes=100000-", "bytes=300000-"]
    assert {item.headers.get("if-match") for item in site.requests[1:]} == {'"one"'}


@pytest.mark.parametrize("ranges", [True, False])
def test_file_replaced_between_two_connections_is_refused(site: Site, tmp_path: Path, *, ranges: bool) -> None:
    def replace() -> None:
        site.content, site.etag = NEWER, '"two"'

    site.cuts, site.after_cut, site.ranges = [100_000], replace, ranges
    with pytest.raises(SourceError, match=r"site: guests\.csv: the file was replaced since the run looked at it"):
        landed(site, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_server_that_cannot_continue_sends_the_same_file_again(site: Site, tmp_path: Path) -> None:
    site.cuts, site.ranges = [100_000], False
    assert content(landed(site, tmp_path / "into")) == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_etag_the_file_is_read_again_from_its_begin(site: Site, tmp_path: Path, etag: str) -> None:
    def replace() -> None:
        site.content = NEWER

    site.cuts, site.after_cut, site.etag = [100_000], replace, etag
    assert content(landed(site, tmp_path / "into")) == NEWER
    assert not any("range" in item.headers for item in site.requests)


def test_connection_that_always_breaks_is_an_error(site: Site, tmp_path: Path) -> None:
    site.cuts = [10] * 9
    with pytest.raises(UnavailableError, match=r"site: guests\.csv: the connection broke .* in 5 attempts"):
        landed(site, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_server_that_is_down_is_an_error(site: Site, tmp_path: Path) -> None:
    site.decide = lambda _: Answer(status=0)
    with pytest.raises(UnavailableError, match="the server cannot be reached, in 5 attempts"):
        landed(site, tmp_path / "into")


def test_answers_without_a_length_are_refused(site: Site, tmp_path: Path) -> None:
    site.decide = lambda _: Answer(body=CONTENT, framed=False)
    with pytest.raises(SourceError, match="does not say how long the file is"):
        landed(site, tmp_path / "into")


def test_chunked_answers_are_read_to_their_end(site: Site, tmp_path: Path) -> None:
    chunked = b"5\r\nid,n\n\r\n4\r\n1,a\n\r\n0\r\n\r\n"
    site.decide = lambda _: Answer(headers={"Transfer-Encoding": "chunked"}, body=chunked, framed=False)
    assert content(landed(site, tmp_path / "into")) == b"id,n\n1,a\n"
    site.decide = lambda _: Answer(headers={"Transfer-Encoding": "chunked"}, body=chunked[:12], framed=False)
    with pytest.raises(UnavailableError, match="the connection broke"):
        landed(site, tmp_path / "other")


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "there is no such file"), (403, "access denied"), (500, "answered HTTP 500"), (204, "answered HTTP 204")],
)
def test_other_statuses_are_named(site: Site, tmp_path: Path, status: int, words: str) -> None:
    site.decide = lambda _: Answer(status=status, body=b"quoted" if status != 204 else b"")
    with pytest.raises((SourceError, UnavailableError), match=words) as raised:
        landed(site, tmp_path / "into")
    assert "quoted" not in str(raised.value)


def test_redirects_stay_on_their_host(site: Site, tmp_path: Path) -> None:
    usual = site.decide
    site.decide = lambda request: (
        Answer(status=302, headers={"Location": "/exports/guests.csv"}) if "old" in request.path else usual(request)
    )
    assert content(landed(site, tmp_path / "into", "old.csv")) == CONTENT
    with ScriptedServer(lambda _: Answer(body=b"id\n1\n")) as other:
        site.decide = lambda _: Answer(status=301, headers={"Location": f"{other.url}/guests.csv"})
        with pytest.raises(SourceError, match="redirects to another host or port"):
            landed(site, tmp_path / "elsewhere", access={"token": "of-the-site"})
        assert other.requests == []
    site.decide = lambda _: Answer(status=307, headers={"Location": "/exports/guests.csv"})
    with pytest.raises(SourceError, match="redirects in a circle"):
        landed(site, tmp_path / "circle")


def test_page_to_log_in_is_no_file(tmp_path: Path) -> None:
    page = Answer(headers={"Content-Type": "text/html; charset=utf-8"}, body=b"\n<!DOCTYPE html><title>secret</title>")
    with ScriptedServer(lambda _: page) as other, pytest.raises(SourceError) as caught:
        landed(other, tmp_path / "into")
    assert caught.value.message == "site: guests.csv: the server sent a web page instead of the file"
    assert not list((tmp_path / "into").iterdir())
    with ScriptedServer(lambda _: Answer(headers={"Content-Type": "text/html"}, body=CONTENT)) as other:
        assert Path(landed(other, tmp_path / "text").parts[0].path).read_bytes() == CONTENT


def test_compressed_answers_are_refused(site: Site, tmp_path: Path) -> None:
    site.decide = lambda _: Answer(headers={"Content-Encoding": "gzip"}, body=b"x")
    with pytest.raises(SourceError, match="compresses answers"):
        landed(site, tmp_path / "into")


def test_credentials_are_sent_as_their_kind_says(site: Site, tmp_path: Path) -> None:
    landed(site, tmp_path / "none")
    landed(site, tmp_path / "token", access={"token": "t0ken"})
    landed(site, tmp_path / "user", access={"user": "ada", "password": "pässword"})
    basic = base64.b64encode("ada:pässword".encode()).decode()
    found = [item.headers.get("authorization") for item in site.requests]
    assert found == [None, "Bearer t0ken", f"Basic {basic}"]


def test_environment_and_netrc_decide_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert content(landed(site, tmp_path / "into")) == CONTENT
    assert "authorization" not in site.requests[0].headers


def test_paths_are_escaped(site: Site, tmp_path: Path) -> None:
    site.decide = lambda request: Answer(body=request.path.encode())
    assert content(landed(site, tmp_path / "into", "a b/50%25 é#?.csv")) == "/exports/a b/50%25 é#?.csv".encode()


def test_doctor_asks_for_the_folder(site: Site) -> None:
    storage = Storage(name="site", kind="http", url=f"{site.url}/exports/")
    assert check_storage(storage, lambda _: StorageAccess()) == "127.0.0.1 answers (HTTP 404 for its folder)"
    assert [item.method for item in site.requests] == ["HEAD"]
    site.decide = lambda _: Answer(status=401)
    with pytest.raises(UnavailableError, match="it answers HTTP 401"):
        check_storage(storage, lambda _: StorageAccess(credentials={"token": "t"}))
    site.decide = lambda _: Answer(status=0)
    with pytest.raises(UnavailableError, match="the server cannot be reached"):
        check_storage(storage, lambda _: StorageAccess())
