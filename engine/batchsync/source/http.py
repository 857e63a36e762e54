"""Files of HTTP servers as sources: one GET, continued after a broken connection only if an ETag proves the same file.

`requests` is used and not `obstore`, whose HTTP store follows redirects to any host and reads proxies from the
environment.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from batchsync import __version__
from batchsync.core.landed_part import LandedPart
from batchsync.errors import SourceError, UnavailableError
from batchsync.source.stored_objects import require_space
from batchsync.util.files import make_private, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from batchsync.core.job import Source
    from batchsync.core.object_storage import Storage, StoredFiles
    from batchsync.ports import Proxy, StorageAccess

#: Seconds to connect, and until the next bytes arrive.
CONNECT_SECONDS, READ_SECONDS = 10, 30
#: Connections that may be used for a file, and redirects within its host.
ATTEMPTS, REDIRECTS = 5, 3
_CHUNK = 1 << 20
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME_CHARS = 100
#: Characters of a path that are not escaped in its URL.
_PATH_CHARS = "/!$&'()*+,;=:@~"
_AGAIN = "Run the same command again; nothing was sent."
_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Statuses of servers that may answer otherwise soon.
_TEMPORARY = frozenset({429, 500, 502, 503, 504})


class _BrokenError(Exception):
    """The connection broke, or the server may answer otherwise soon. The text is the reason, without the URL."""


@dataclass(slots=True, kw_only=True)
class _Download:
    """State of a download: what was first seen of the file, and what has arrived."""

    etag: str = ""
    size: int = -1
    done: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def continues(self) -> bool:
        """Whether an ETag proves that the rest is of the same file. Weak ones prove nothing about bytes."""
        return bool(self.etag) and not self.etag.startswith("W/") and self.done > 0

    def restart(self, file: BinaryIO) -> None:
        """Forget what has arrived."""
        file.seek(0)
        file.truncate()
        self.done, self.digest, self.size = 0, hashlib.sha256(), -1


def check(storage: Storage, access: StorageAccess) -> str:
    """Check that a server answers.

    Args:
        storage: The server; no file is read.
        access: Its credentials and proxy.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it does not answer, or refuses the credentials.
    """
    server = _Server(storage, access)
    try:
        with server.answer(storage.url, {}, method="HEAD") as response:
            status = response.status_code
    except (_BrokenError, SourceError) as error:
        hint = f"check base_url, proxy and ca_bundle in {storage.place}"
        raise UnavailableError(f"{storage.label}: {error}", hint=hint) from None
    if status in {401, 403} and access.credentials:
        hint = f"check the credentials in {storage.place}"
        raise UnavailableError(f"{storage.label}: it answers HTTP {status}", hint=hint)
    return f"{urlsplit(storage.url).hostname} answers (HTTP {status} for its folder)"


def fetch(
    source: Source,
    stored: StoredFiles,
    into: Path,
    *,
    access: StorageAccess,
    rows: int | None = None,  # noqa: ARG001 - one file is read as a whole
    progress: Callable[[int], None] | None = None,
) -> Source:
    """Land a file of a server.

    Args:
        source: The source.
        stored: Its server and path.
        into: Folder for the part.
        access: Credentials and proxy of the server.
        rows: Number of rows that suffice; ignored.
        progress: Receives the number of bytes landed.

    Returns:
        The source with its part, and the ETag of the file.

    Raises:
        SourceError: If there is no such file, it is redirected to another host, or it changes while it is read.
        UnavailableError: If it cannot be read, or the disk is full.
    """
    storage = stored.storage
    if storage is None:
        raise SourceError(f"{stored.title} is on no server", hint="report this defect; nothing was sent")
    name = _UNSAFE.sub("_", stored.path.rpartition("/")[2])[-_NAME_CHARS:]
    path = into / f"{0:05}-{name}"
    hint = "Free some space, then run the same command again; nothing was sent."
    state = _Download()
    try:
        with translate_os_errors(f"{stored.title}: not landed", hint=hint):
            make_private(into)
            with path.open("xb") as file:
                _read(_Server(storage, access), stored, file, into, state, progress)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    part = LandedPart(path=str(path), sha256=state.digest.hexdigest(), origin=stored.path)
    return replace(source, parts=(part,), version=state.etag)


def _read(
    server: _Server,
    stored: StoredFiles,
    file: BinaryIO,
    into: Path,
    state: _Download,
    progress: Callable[[int], None] | None,
) -> None:
    """Read a file by as few requests as its connections allow."""
    url, reason = server.storage.url + quote(stored.path, safe=_PATH_CHARS), ""
    for _ in range(ATTEMPTS):
        if not state.continues:
            state.restart(file)
        headers = {"Range": f"bytes={state.done}-", "If-Match": state.etag} if state.continues else {}
        try:
            with server.answer(url, headers) as response:
                if state.continues and _is_whole(response) and response.headers.get("ETag", "") == state.etag:
                    # The server does not continue files, and sends the same one from its begin.
                    state.restart(file)
                _begin(response, state, stored, into)
                for chunk in server.chunks(response):
                    if not state.done:
                        _require_file(response, chunk, stored)
                    file.write(chunk)
                    state.digest.update(chunk)
                    state.done += len(chunk)
                    if state.done > state.size >= 0:
                        raise SourceError(f"{stored.title}: more bytes arrived than the server named", hint=_AGAIN)
                    if progress is not None:
                        progress(state.done)
        except _BrokenError as error:
            reason = str(error)
            continue
        if state.size in (-1, state.done):
            return
        reason = f"{state.done:,} of {state.size:,} bytes arrived"
    hint = f"check the network and base_url in {server.storage.place}; nothing was sent"
    raise UnavailableError(f"{stored.title}: {reason}, in {ATTEMPTS} attempts", hint=hint)


def _require_file(response: requests.Response, begin: bytes, stored: StoredFiles) -> None:
    """Check that an answer is no web page.

    Raises:
        SourceError: If it is one, such as the page to log in that many servers redirect to.
    """
    is_page = response.headers.get("Content-Type", "").lower().startswith("text/html")
    if is_page and begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        message = f"{stored.title}: the server sent a web page instead of the file"
        raise SourceError(message, hint="Check path, base_url and credentials: it may be a page to log in.")


def _is_whole(response: requests.Response) -> bool:
    """Return whether an answer is the whole file."""
    return bool(response.status_code == requests.codes.ok)


def _begin(response: requests.Response, state: _Download, stored: StoredFiles, folder: Path) -> None:
    """Check the head of an answer, and note size and ETag of the file.

    Raises:
        SourceError: If it is not the file, or not the one that was first seen.
        UnavailableError: If the file needs more disk than there is, or the server refuses it.
        _BrokenError: If the server may answer otherwise soon.
    """
    status, headers = response.status_code, response.headers
    if status in _TEMPORARY:
        raise _BrokenError(f"the server answered HTTP {status}")
    if state.continues and (status in {412, 416, 200} or headers.get("ETag", "") != state.etag):
        raise SourceError(f"{stored.title}: the file was replaced since the run looked at it", hint=_AGAIN)
    if status in {404, 410}:
        raise SourceError(f"{stored.title}: there is no such file (HTTP {status})", hint="Check path and base_url.")
    if status in {401, 403}:
        place = stored.storage.place if stored.storage else ""
        message = f"{stored.title}: access denied (HTTP {status})"
        raise UnavailableError(message, hint=f"check the credentials in {place}")
    if status != (206 if state.continues else 200):
        raise SourceError(f"{stored.title}: the server answered HTTP {status}", hint="Check path and base_url.")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        message = f"{stored.title}: the server compresses answers, although none were asked for"
        raise SourceError(message, hint="Let it serve the file as it is, such as guests.csv.gz.")
    if state.continues:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None or (int(found[1]), int(found[3])) != (state.done, state.size):
            raise SourceError(f"{stored.title}: the server did not continue where it was asked to", hint=_AGAIN)
        return
    length = headers.get("Content-Length", "")
    state.etag = headers.get("ETag", "")
    state.size = int(length) if length.isascii() and length.isdigit() else -1
    if state.size < 0 and "chunked" not in headers.get("Transfer-Encoding", "").lower():
        message = f"{stored.title}: the server does not say how long the file is, so that its end is unknown"
        raise SourceError(message, hint="Let it send Content-Length.")
    require_space(folder, max(state.size, 0), stored.title)


class _Server:
    """Requests to one server. Each has its own session, which ignores the environment."""

    def __init__(self, storage: Storage, access: StorageAccess) -> None:
        """Keep the server and what authenticates to it."""
        self.storage, self._access = storage, access

    def answer(self, url: str, headers: dict[str, str], method: str = "GET") -> requests.Response:
        """Send a request; follow redirects within the host.

        Raises:
            SourceError: If it is redirected to another host, or more often than allowed.
            _BrokenError: If there is no answer.
        """
        origin = _origin(url)
        for _ in range(REDIRECTS + 1):
            response = self._send(method, url, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            url = urljoin(url, response.headers.get("Location", ""))
            if _origin(url) != origin:
                message = f"{self.storage.label}: the server redirects to another host or port"
                raise SourceError(
                    message, hint=f"Set base_url in {self.storage.place} to that host, if it is to be used."
                )
        raise SourceError(f"{self.storage.label}: the server redirects in a circle", hint="Check path and base_url.")

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes of an answer as they are sent.

        Raises:
            _BrokenError: If the connection breaks.
        """
        failure = ""
        try:
            yield from response.raw.stream(_CHUNK, decode_content=False)
        except (requests.RequestException, HTTPError, OSError) as error:
            failure = f"the connection broke ({type(error).__name__})"
        if failure:
            raise _BrokenError(failure)

    def _send(self, method: str, url: str, headers: dict[str, str]) -> requests.Response:
        """Send one request.

        Raises:
            _BrokenError: If there is no answer; the text contains nothing of the request.
        """
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(self._access.proxy)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        proxy = self._access.proxy
        failure = ""
        try:
            return session.request(
                method,
                url,
                headers={"User-Agent": f"batchsync/{__version__}", "Accept-Encoding": "identity", **headers},
                auth=self._authenticate,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
                verify=self.storage.ca_bundle or True,
                proxies=dict.fromkeys(("https", "http"), proxy.url) if proxy else {},
            )
        except requests.exceptions.SSLError:
            failure = "untrusted certificate"
        except requests.Timeout:
            failure = "no answer in time"
        except (requests.RequestException, HTTPError, OSError, ValueError):
            failure = "the server cannot be reached"
        raise _BrokenError(failure)

    def _authenticate(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        values = self._access.credentials
        if "token" in values:
            request.headers["Authorization"] = f"Bearer {values['token']}"
        elif "user" in values:
            basic = requests.auth.HTTPBasicAuth(values["user"].encode(), values["password"].encode())
            basic(request)
        return request


class _Adapter(HTTPAdapter):
    """Transport without retries, which authenticates to the proxy."""

    def __init__(self, proxy: Proxy | None) -> None:
        """Keep the proxy."""
        super().__init__(max_retries=Retry(total=0, read=False, redirect=False))
        self._proxy = proxy

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - signature of requests
        """Return the header that authenticates to the proxy."""
        value = self._proxy.authorization if self._proxy else ""
        return {"Proxy-Authorization": value} if value else {}


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return parts.scheme, "", None
