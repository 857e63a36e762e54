"""Sends one request and brings its answer, or says which of the three failures it was. The only module with `requests`.

It knows no vendor, repeats nothing, follows nothing, and lets no query of a URL into an error or a log.

Failures are raised outside of `except` blocks: an exception in the chain would carry the URL that it is about.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import ssl
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.retry import Retry

from lading.core.vendor_rules import Door
from lading.errors import DidNotHappen, EnvironmentProblem, Permanent, Unclear, VendorFailure
from lading.vendors.bodies import CHUNK, Watch, gunzipped, save
from lading.vendors.doors import Doors, redacted
from lading.vendors.redaction import Redactor
from lading.vendors.wire import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from lading.core.vendor_rules import Limits
    from lading.ports import Clock

#: How much of a refusal is read: enough for the words in it.
_REFUSAL_MAX = 64 * 1024


class _Redact(logging.Filter):
    """Takes the queries out of what urllib3 logs, whatever the level.

    Warnings, which Python prints where no logging is set up, keep urllib3's own words alone: one of them quotes the
    headers of an answer, and a gateway may have put ours there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        own = record.levelno >= logging.WARNING and bool(record.args)
        message = re.sub(r"%\S", "...", str(record.msg)) if own else record.getMessage()
        # urllib3 logs host and path in one message, so the path's query stands without its host.
        kept = [part.split("?", 1)[0] + "?<redacted>" if "?" in part else part for part in message.split(" ")]
        record.msg, record.args, record.exc_info, record.exc_text = redacted(" ".join(kept)), (), None, None
        return True


for _name in ("connectionpool", "connection", "response", "poolmanager", "util.retry", "util.ssl_", "util.url"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_Redact())


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The way out. Every request has a session and a connection of its own, so nothing passes from one to the next.

    What is true of the API (cookies, proofs) can then not reach the storage. And a connection that was kept, and that
    the other side has closed meanwhile, would turn a harmless request into an unclear one.
    """

    doors: Doors
    limits: Limits
    clock: Clock
    user_agent: str
    verify: str | bool
    #: Knows what was sent as proof of identity; addresses that a vendor gave out may repeat it.
    redactor: Redactor = field(default_factory=Redactor)

    def ask(self, request: Request) -> Answer:
        """Return the answer, whatever its status, with at most `limits.answer_max` bytes of body.

        Raises:
            DidNotHappen: when nothing was sent.
            Unclear: when something was sent and no whole answer came, or to more than a question one above the limit.
            Permanent: when the request may not be sent as it is.
        """

        def whole(response: requests.Response) -> Answer:
            try:
                body = self._body(response)
            except Permanent as larger:
                if request.method == "GET":
                    raise
                # The vendor has done what was asked; that its answer is of no use does not undo it.
                raise Unclear(larger.reason) from None
            return Answer(status=response.status_code, headers=_headers(response), body=body)

        return self._exchange(request, whole)

    def download(self, request: Request, into: Path) -> Answer:
        """Return the answer. The body of a good one stands whole at `into`, fsynced; that of a refusal in the answer.

        Raises:
            DidNotHappen: when nothing was sent.
            Unclear: when no whole answer came.
            Permanent: when the request may not be sent, or the body is larger than the limits allow.
            EnvironmentProblem: when our disk does not take the file.
        """

        def kept(response: requests.Response) -> Answer:
            good = response.status_code == requests.codes.ok
            if good and "text/html" in response.headers.get("Content-Type", "").lower():
                raise Unclear("a page for people came where a document was asked for")
            if good:
                document = self._file(response)
                # The storage is sent no proof of identity, so its documents, the large ones, cannot repeat one.
                save(into, self.redactor.redact_stream(document) if request.door is Door.API else document)
            body = b"" if good else self._body(response)
            return Answer(status=response.status_code, headers=_headers(response), body=body, saved=good)

        return self._exchange(request, kept)

    def _exchange(self, request: Request, take: Callable[[requests.Response], Answer]) -> Answer:
        """Send the request and take its answer, translating every failure."""
        self.redactor.add_headers(request.headers)
        where = f"{request.method} {self._shown(request.url)}"
        failure: VendorFailure | EnvironmentProblem
        try:
            self.doors.check(request.url, request.door)
        except Permanent as refused:
            refusal = self._shown(refused.reason)
        else:
            refusal = ""
        if refusal:
            raise Permanent(refusal)
        self.redactor.add_url(request.url)
        with contextlib.ExitStack() as stack:
            try:
                prepared = self._prepared(request, _opened(request, stack))
                response = stack.enter_context(
                    self._sent(stack.enter_context(_session()), prepared, slow=request.file is not None)
                )
                return take(response)
            except VendorFailure as raised:
                # Reasons of our own: they get the address, which is redacted.
                failure = type(raised)(f"{where}: {raised.reason}")
            except (requests.RequestException, HTTPError) as error:
                failure = _translated(error, where)
            except ValueError:
                # A header that cannot be written. The error holds it, and it may be a secret.
                failure = Permanent(f"{where}: the request cannot be written as HTTP")
            except OSError as error:
                # Sockets fail as the kinds above; what is left is our own disk.
                wrong = f"{where}: the answer cannot be kept on our disk: {error.strerror}"
                failure = EnvironmentProblem(
                    wrong, hint="make room on the disk of the state folder, then `lading resume`"
                )
        raise failure

    def _shown(self, text: str) -> str:
        return redacted(self.redactor.redact(text))

    def _sent(self, session: requests.Session, prepared: requests.PreparedRequest, *, slow: bool) -> requests.Response:
        read = self.limits.read.total_seconds()
        # The first of the two also bounds each send: a long body over a slow line stalls for longer than a connection.
        first = read if slow else self.limits.connect.total_seconds()
        return session.send(
            prepared, stream=True, timeout=(first, read), allow_redirects=False, verify=self.verify, proxies={}
        )

    def _prepared(self, request: Request, body: BinaryIO | bytes | None) -> requests.PreparedRequest:
        headers = {
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **request.headers,
        }
        prepared = requests.Request(request.method, request.url, headers=headers, data=body).prepare()
        # A signature is over the URL as it was given: what `requests` tidied up is put back.
        prepared.url = request.url
        return prepared

    def _file(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes of a document as they come, while its expanded size is watched; a coding is taken off."""
        raw = self._raw(response, self.limits.file_max)
        if _coded(response):
            yield from gunzipped(raw, self.limits.expanded_max)
            return
        watch = Watch(self.limits.expanded_max)
        for chunk in raw:
            watch.see(chunk)
            yield chunk
        watch.end()

    def _body(self, response: requests.Response) -> bytes:
        """Return a body for memory: whole and small, or the first part of a refusal, which is only shown."""
        good = response.ok
        most = self.limits.answer_max if good else _REFUSAL_MAX
        raw = self._raw(response, most, cut=not good)
        return b"".join(gunzipped(raw, most) if _coded(response) else raw)

    def _raw(self, response: requests.Response, most: int, *, cut: bool = False) -> Iterator[bytes]:
        """Yield the bytes of a body as they are on the wire: whole, in time, and not more than `most`."""
        begun: datetime = self.clock.now()
        taken = 0
        # `read1` returns what has come, so that time is looked at even when it comes byte by byte.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            taken += len(chunk)
            if taken > most:
                if cut:
                    yield chunk[: most - taken]
                    return
                raise Permanent(f"the answer is larger than {most:,} bytes")
            if self.clock.now() - begun > self.limits.whole:
                raise Unclear(f"the answer was still coming after {self.limits.whole}")
            yield chunk
        written = response.headers.get("Content-Length", "")
        if written.isascii() and written.isdigit() and int(written) != taken:
            raise Unclear(f"the answer ended after {taken:,} of {int(written):,} bytes")


def open_http(
    doors: Doors,
    limits: Limits,
    clock: Clock,
    user_agent: str,
    ca_bundle: str | None,
    redactor: Redactor | None = None,
) -> Http:
    """Return a way out through these doors. `ca_bundle` is a file of certificates to trust instead of the usual ones.

    `redactor` knows the credentials and is given every header value that proves an identity.

    Raises:
        EnvironmentProblem: when `ca_bundle` is no file of certificates.
    """
    if ca_bundle is not None:
        try:
            ssl.create_default_context(cafile=ca_bundle)
        except OSError:
            wrong = f"ca_bundle: {ca_bundle} is no file of certificates"
            raise EnvironmentProblem(wrong, hint="give a PEM file") from None
    verify = ca_bundle if ca_bundle is not None else True
    return Http(
        doors=doors,
        limits=limits,
        clock=clock,
        user_agent=user_agent,
        verify=verify,
        redactor=redactor or Redactor(),
    )


def _session() -> requests.Session:
    """Return a session that takes nothing from its surroundings: no netrc, no proxies, no cookies, no repeats."""
    session = requests.Session()
    session.trust_env = False
    session.auth = None
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=Retry(total=0, read=False, redirect=False)))
    return session


def _opened(request: Request, stack: contextlib.ExitStack) -> BinaryIO | bytes | None:
    """Return the body. A sealed file is opened, never read into memory, and must have the size that was sealed."""
    if request.file is None:
        return request.body
    try:
        sealed = stack.enter_context(Path(request.file).open("rb"))  # noqa: SIM115 - the stack closes it
        size = os.fstat(sealed.fileno()).st_size
    except OSError as error:
        raise Permanent(f"the sealed file cannot be read: {error.strerror}") from None
    if size != request.size or size == 0:
        raise Permanent(f"the sealed file has {size:,} bytes and was sealed with {request.size:,}")
    return sealed


def _translated(error: Exception, where: str) -> VendorFailure:
    """Return which of the three failures a transport error is, in words without the URL that it carries."""
    causes = list(_causes(error))
    if isinstance(error, requests.ConnectTimeout):
        return DidNotHappen(f"{where}: no connection in time")
    if any(isinstance(one, NewConnectionError) for one in causes):
        return DidNotHappen(f"{where}: no connection ({_kind(causes)})")
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return DidNotHappen(f"{where}: the certificate cannot be trusted; nothing was sent")
    if isinstance(
        error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | requests.exceptions.InvalidSchema
    ):
        return Permanent(f"{where}: the request cannot be written as HTTP")
    if isinstance(error, requests.Timeout) or "Timeout" in type(error).__name__:
        return Unclear(f"{where}: sent, and no answer in time")
    return Unclear(f"{where}: sent, and the connection broke before the answer was whole ({_kind(causes)})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was made of, by every road that these libraries use."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        parts = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [part for part in parts if isinstance(part, BaseException)]


def _kind(causes: list[BaseException]) -> str:
    """Return the system's own word for the deepest cause that has one."""
    words = [one.strerror for one in causes if isinstance(one, OSError) and isinstance(one.strerror, str) and one.errno]
    return words[-1] if words else type(causes[-1]).__name__


def _headers(response: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _coded(response: requests.Response) -> bool:
    """Whether the body is compressed on the way, though we asked for it as it is."""
    return "gzip" in response.headers.get("Content-Encoding", "").lower()
