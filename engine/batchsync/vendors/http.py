"""HTTP transport: sends one request and classifies its failures. The only module that imports `requests`.

Requests are never repeated and redirects never followed. No query string of a URL gets into an error or a log: failures
are raised outside of `except` blocks, because an exception in the chain would carry the URL.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, BinaryIO

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError, ProxyError
from urllib3.util.retry import Retry

from batchsync.core.vendor_calls import Endpoint
from batchsync.errors import AmbiguousOutcomeError, PermanentError, RetryableError, UnavailableError, VendorError
from batchsync.vendors.allowed_urls import UrlAllowList, redacted
from batchsync.vendors.bodies import CHUNK, GZIP, GunzipMeter, gunzip, open_body, write_atomic
from batchsync.vendors.deadline import Deadline, TunnelError, bound_connections
from batchsync.vendors.error_causes import cause_text, causes_of
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.transport_log import redact_transport_log
from batchsync.vendors.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from urllib3 import ProxyManager

    from batchsync.core.vendor_calls import Limits
    from batchsync.ports import Clock, Proxy
    from batchsync.vendors.multipart import FramedFile

#: Maximum number of bytes read of an error response: enough for its message.
_REFUSAL_MAX = 64 * 1024


redact_transport_log()


class DeadlineAdapter(HTTPAdapter):
    """Transport adapter for one request, which ends at a deadline and is not repeated."""

    def __init__(self, deadline: Deadline, proxy: Proxy | None) -> None:
        """Create the adapter of a session."""
        super().__init__(max_retries=Retry(total=0, read=False, redirect=False))
        self._deadline, self._proxy = deadline, proxy
        bound_connections(self.poolmanager, deadline)

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - signature of requests
        """Return the header that authenticates to the proxy; in a CONNECT request for https, else in the request."""
        value = self._proxy.authorization if self._proxy else ""
        return {"Proxy-Authorization": value} if value else {}

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: object) -> ProxyManager:
        """Return the pool manager for the proxy, whose connections end at the deadline, too."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        bound_connections(manager, self._deadline)
        return manager


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """HTTP transport of a connection. Every request has its own session and TCP connection.

    State of the API (cookies, authentication) can thus not reach the storage. A reused connection that the server has
    closed meanwhile would also make the outcome of a request unknown without need.

    Attributes:
        allowed_urls: URLs that requests may be sent to.
        limits: Timeouts and maximum sizes.
        clock: Time source for the limit of a whole response.
        user_agent: Value of the `User-Agent` header.
        verify: `True` for the system's certificates, or the path of a PEM file.
        redactor: Receives the credentials that are sent, and removes them from responses and messages.
        proxy: Proxy of all requests; None connects directly.
    """

    allowed_urls: UrlAllowList
    limits: Limits
    clock: Clock
    user_agent: str
    verify: str | bool
    redactor: Redactor = field(default_factory=Redactor)
    proxy: Proxy | None = None
    on_transfer: Callable[[], None] = lambda: None

    def send(self, request: Request) -> Response:
        """Send a request; return the response, whatever its status, with at most `limits.answer_max` bytes of body.

        Returns:
            The response; the body of an error is cut at 64 KiB.

        Raises:
            RetryableError: If nothing was sent.
            AmbiguousOutcomeError: If no complete response arrived, or a write was answered with a larger body.
            PermanentError: If the request may not be sent, or a GET was answered with a larger body.
        """

        def read_whole(response: requests.Response) -> Response:
            try:
                body = self._read_body(response)
            except PermanentError as larger:
                if request.method == "GET":
                    raise
                # The write is done although its response cannot be used.
                raise AmbiguousOutcomeError(larger.reason) from None
            return Response(status=response.status_code, headers=_headers(response), body=body)

        limit = self.limits.answer if request.file is None else self.limits.whole
        return self._exchange(request, read_whole, limit)

    def download(self, request: Request, into: Path) -> Response:
        """Send a request and save the body of a 200 response.

        Args:
            request: The request.
            into: Path of the file to write; it is fsynced and appears complete or not at all.

        Returns:
            The response, with an empty body if it was saved. The body of an error is in the response.

        Raises:
            RetryableError: If nothing was sent.
            AmbiguousOutcomeError: If no complete response arrived, or an HTML page instead of a document.
            PermanentError: If the request may not be sent, or the body is larger than the limits allow.
            UnavailableError: If the file cannot be written.
        """

        def save_document(response: requests.Response) -> Response:
            good = response.status_code == requests.codes.ok
            if good and "text/html" in response.headers.get("Content-Type", "").lower():
                raise AmbiguousOutcomeError("the response is an HTML page instead of the document")
            if good:
                document = self._iter_document(response)
                # The documents of the storage, the large ones, cannot contain credentials of the API.
                of_api = request.endpoint is Endpoint.API
                redact = self.redactor.redact_stream if of_api else self.redactor.redact_small
                write_atomic(into, redact(document))
            body = b"" if good else self._read_body(response)
            return Response(status=response.status_code, headers=_headers(response), body=body, saved=good)

        return self._exchange(request, save_document, self.limits.whole)

    def _exchange(self, request: Request, read: Callable[[requests.Response], Response], limit: timedelta) -> Response:
        """Send a request and read its response within a time limit, translating every failure."""
        self.redactor.add_headers(request.headers)
        failure: VendorError | UnavailableError
        try:
            self.allowed_urls.check(request.url, request.endpoint)
        except PermanentError as refused:
            refusal = self._redacted(refused.reason)
        else:
            refusal = ""
        if refusal:
            raise PermanentError(refusal)
        self.redactor.add_url(request.url)
        deadline = Deadline(limit.total_seconds(), on_transfer=self.on_transfer)
        with contextlib.ExitStack() as stack:
            try:
                prepared = self._prepare(request, open_body(request, stack))
                response = stack.enter_context(
                    self._send_prepared(
                        stack.enter_context(_session(deadline, self.proxy)), prepared, slow=request.file is not None
                    )
                )
                return read(response)
            except VendorError as raised:
                # Raised by batchsync itself: add the redacted URL.
                failure = type(raised)(f"{self._request_line(request)}: {raised.reason}")
            except (requests.RequestException, HTTPError, TimeoutError) as error:
                where = self._request_line(request)
                failure = _transport_error(error, where, self.proxy)
                if deadline.passed and isinstance(failure, AmbiguousOutcomeError):
                    failure = AmbiguousOutcomeError(f"{where}: sent, but the response was not complete after {limit}")
            except ValueError:
                # An invalid header. The error contains its value, which may be a secret.
                failure = PermanentError(f"{self._request_line(request)}: the request cannot be written as HTTP")
            except OSError as error:
                # Socket errors are handled above; the rest comes from the local disk.
                problem = f"{self._request_line(request)}: the response cannot be written to disk: {error.strerror}"
                failure = UnavailableError(
                    problem, hint="free disk space for the state folder, then run `batchsync resume`"
                )
        raise failure

    def _request_line(self, request: Request) -> str:
        """Return method and URL for a message. Redaction takes long, so that only messages are redacted."""
        return f"{request.method} {self._redacted(request.url)}"

    def _redacted(self, text: str) -> str:
        """Return a text without credentials and without queries of URLs."""
        return redacted(self.redactor.redact(text))

    def _send_prepared(
        self, session: requests.Session, prepared: requests.PreparedRequest, *, slow: bool
    ) -> requests.Response:
        """Send a request; `slow` allows the read timeout for each send of an upload."""
        read = self.limits.read.total_seconds()
        # The connect timeout also limits each send: a large body on a slow network stalls longer than a connect.
        first = read if slow else self.limits.connect.total_seconds()
        proxies = dict.fromkeys(("https", "http"), self.proxy.url) if self.proxy else {}
        return session.send(
            prepared, stream=True, timeout=(first, read), allow_redirects=False, verify=self.verify, proxies=proxies
        )

    def _prepare(self, request: Request, body: FramedFile | BinaryIO | bytes | None) -> requests.PreparedRequest:
        """Return the request for `requests`, with its URL unchanged."""
        headers = {
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **request.headers,
        }
        prepared = requests.Request(request.method, request.url, headers=headers, data=body).prepare()
        # The signature covers the URL as it was issued: undo the normalization by `requests`.
        prepared.url = request.url
        return prepared

    def _iter_document(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes of a document without content encoding, while limiting its size after gunzip."""
        raw = self._iter_raw(response, self.limits.file_max)
        if _is_content_encoded(response):
            yield from gunzip(raw, self.limits.expanded_max)
            return
        meter = GunzipMeter(self.limits.expanded_max)
        first = last = b""
        for chunk in raw:
            meter.feed(chunk)
            first, last = first or chunk, chunk
            yield chunk
        meter.close()
        if not _is_framed(response) and _ends_early(first, last):
            raise AmbiguousOutcomeError("the response names no length and ends in the middle of a line")

    def _read_body(self, response: requests.Response) -> bytes:
        """Return the whole body of a success, or the first bytes of an error, which is only shown."""
        good = response.ok
        max_bytes = self.limits.answer_max if good else _REFUSAL_MAX
        raw = self._iter_raw(response, max_bytes, cut=not good)
        return b"".join(gunzip(raw, max_bytes) if _is_content_encoded(response) else raw)

    def _iter_raw(self, response: requests.Response, max_bytes: int, *, cut: bool = False) -> Iterator[bytes]:
        """Yield the raw bytes of a body; beyond `max_bytes` raise or, if `cut`, stop; beyond the time limit raise."""
        started_at: datetime = self.clock.now()
        size = 0
        # `read1` returns available bytes, so that the time is checked even if they arrive byte by byte.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            size += len(chunk)
            if size > max_bytes:
                if cut:
                    yield chunk[: max_bytes - size]
                    return
                raise PermanentError(f"the response is larger than {max_bytes:,} bytes")
            if self.clock.now() - started_at > self.limits.whole:
                raise AmbiguousOutcomeError(f"the response was not complete after {self.limits.whole}")
            yield chunk
        declared = response.headers.get("Content-Length", "")
        if declared.isascii() and declared.isdigit() and int(declared) != size:
            raise AmbiguousOutcomeError(f"the response ended after {size:,} of {int(declared):,} bytes")


def open_transport(
    allowed_urls: UrlAllowList,
    limits: Limits,
    clock: Clock,
    user_agent: str,
    ca_bundle: str | None,
    redactor: Redactor | None = None,
) -> HttpTransport:
    """Return the transport of a connection.

    Args:
        allowed_urls: URLs that requests may be sent to.
        limits: Timeouts and maximum sizes.
        clock: Time source for the limit of a whole response.
        user_agent: Value of the `User-Agent` header.
        ca_bundle: Path of a PEM file with the certificates to trust instead of the system's.
        redactor: Holds the connection's credentials, and receives header values that authenticate a request.

    Raises:
        UnavailableError: If `ca_bundle` is not a certificate file.
    """
    if ca_bundle is not None:
        try:
            ssl.create_default_context(cafile=ca_bundle)
        except OSError:
            problem = f"ca_bundle: {ca_bundle} is not a certificate file"
            raise UnavailableError(problem, hint="set it to a PEM file") from None
    verify = ca_bundle if ca_bundle is not None else True
    return HttpTransport(
        allowed_urls=allowed_urls,
        limits=limits,
        clock=clock,
        user_agent=user_agent,
        verify=verify,
        redactor=redactor or Redactor(),
    )


def _session(deadline: Deadline, proxy: Proxy | None) -> requests.Session:
    """Return a session that ignores the environment: no netrc, no proxy variables, no cookies, no retries.

    Its request ends at the deadline, from the connection to the last byte of the body.
    """
    session = requests.Session()
    session.trust_env = False
    session.auth = None
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter(deadline, proxy))
    return session


def _transport_error(error: Exception, where: str, proxy: Proxy | None = None) -> VendorError:
    """Return the vendor error for an error of `requests`, with a message without its URL."""
    causes = list(causes_of(error))
    if reason := _reason_unsent(error, causes, proxy):
        return RetryableError(f"{where}: {reason}; nothing was sent")
    if isinstance(
        error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | requests.exceptions.InvalidSchema
    ):
        return PermanentError(f"{where}: the request cannot be written as HTTP")
    if isinstance(error, requests.Timeout) or "Timeout" in type(error).__name__:
        return AmbiguousOutcomeError(f"{where}: sent, but no response in time")
    return AmbiguousOutcomeError(
        f"{where}: sent, but the connection broke before the response was complete ({cause_text(causes)})"
    )


def _reason_unsent(error: Exception, causes: Sequence[BaseException], proxy: Proxy | None) -> str:
    """Return why no byte of the request was sent; empty if some may have been."""
    name = f"proxy {proxy.host}:{proxy.port}" if proxy else ""
    via = f" to {name}" if proxy else ""
    if tunnel := next((cause for cause in causes if isinstance(cause, TunnelError)), None):
        return f"{name} {tunnel.reason}"
    if isinstance(error, requests.ConnectTimeout):
        return f"connect timeout{via}"
    if any(isinstance(cause, NewConnectionError | ProxyError) for cause in causes):
        return f"connection{via} failed ({cause_text(causes)})"
    return "untrusted certificate" if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) else ""


def _headers(response: requests.Response) -> dict[str, str]:
    """Return the headers by lower-case name."""
    return {name.lower(): value for name, value in response.headers.items()}


def _is_framed(response: requests.Response) -> bool:
    """Return whether the end of the body is marked: by its length, or by the last chunk."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _ends_early(first: bytes, last: bytes) -> bool:
    """Return whether a document, given by its first and last bytes, ends inside a line or a JSON document.

    gzip and ZIP have an end mark of their own, which is checked when they are read.
    """
    end = last.rstrip(b" \x00")[-1:]
    return bool(end) and end not in (b"\n", b"\r", b"}", b"]") and not first.startswith((GZIP, b"PK"))


def _is_content_encoded(response: requests.Response) -> bool:
    """Return whether the body has a gzip content encoding, although none was requested."""
    return "gzip" in response.headers.get("Content-Encoding", "").lower()
