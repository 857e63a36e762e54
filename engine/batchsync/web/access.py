"""Who may see the page: addresses, host names, tokens, sessions, and the origin of forms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchsync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Names of this machine by which a browser reaches a page that is bound to loopback.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: Shortest token: 16 characters.
MIN_TOKEN = 16
SESSION_COOKIE, VALUES_COOKIE = "batchsync_session", "batchsync_values"
_SESSION = timedelta(hours=12).total_seconds()
#: How long values of rows are shown after a person asked for them.
VALUES_FOR = timedelta(minutes=15).total_seconds()
_MAX_SESSIONS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the page listens."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """Return the address of a text such as `127.0.0.1:8321` or `[::1]:8321`.

        Raises:
            UsageError: If it is none.
        """
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or port is None or parts.path or parts.username is not None:
            raise UsageError(
                f"--page {text}: not an address with a port",
                hint="such as `batchsync serve --page 127.0.0.1:8321`",
                name="usage.page",
            )
        return Address(host=host, port=port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def netloc(self) -> str:
        """Host and port as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True, kw_only=True)
class Access:
    """Rules of access.

    Attributes:
        address: Where the page listens.
        token: Token that browsers sign in with and programs send as a bearer; empty if none is needed.
        trusted_header: Header in which a proxy in front names the user that it has authenticated; empty if there is no
            proxy.
        names: Further host names by which the page is reached, in lower case.
        monotonic: Returns seconds of a monotonic clock.
    """

    address: Address
    monotonic: Callable[[], float]
    token: str = field(default="", repr=False)
    trusted_header: str = ""
    names: frozenset[str] = frozenset()
    _sessions: dict[str, float] = field(default_factory=dict, repr=False)
    _values: dict[str, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse an address that others reach without a proof of who asks.

        Raises:
            UsageError: If there is neither a token nor a trusted header, or the token is short.
        """
        if self.token and len(self.token) < MIN_TOKEN:
            raise UsageError(
                f"the token of the page has fewer than {MIN_TOKEN} characters",
                hint="write a longer one, as by `openssl rand -hex 32`",
                name="usage.page",
            )
        if not (self.address.is_loopback or self.token or self.trusted_header):
            raise UsageError(
                f"--page {self.address.netloc}: other machines would reach the page without a token",
                hint="add --page-token-file FILE, or --page-trust-header NAME behind a proxy that authenticates",
                name="usage.page",
            )

    def is_known_host(self, host: str) -> bool:
        """Return whether the Host header of a request names this page; other names come from DNS rebinding."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        own = {self.address.host.lower(), *(LOOPBACK_NAMES if self.address.is_loopback else ())}
        return name in own | self.names

    def user(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
        """Return the name of the user of a request, which is empty if it is not known, or None if it has no access.

        Args:
            headers: Headers of the request, with names in lower case.
            cookies: Its cookies.
        """
        if self.trusted_header:
            name = headers.get(self.trusted_header.lower(), "").strip()
            if name:
                return name
            return "" if self.token and self._has_token(headers, cookies) else None
        return "" if not self.token or self._has_token(headers, cookies) else None

    def is_bearer(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request proves by a bearer token that no browser sent it on behalf of another site."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return bool(self.token) and scheme.lower() == "bearer" and self.is_token(given.strip())

    def is_same_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a form was sent by a page of this server."""
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        return urlsplit(headers.get("origin", "")).netloc.lower() == headers.get("host", "").lower() != ""

    def is_token(self, given: str) -> bool:
        """Return whether this is the token; takes as long for any text."""
        return bool(self.token) and hmac.compare_digest(_digest(given), _digest(self.token))

    def open_session(self) -> str:
        """Return the cookie of a new session."""
        return _remember(self._sessions, self.monotonic(), _SESSION)

    def close_session(self, cookies: Mapping[str, str]) -> None:
        """End the session of a cookie."""
        self._sessions.pop(_digest(cookies.get(SESSION_COOKIE, "")).hex(), None)

    def show_values(self) -> str:
        """Return a cookie with which values of rows are shown for some minutes."""
        return _remember(self._values, self.monotonic(), VALUES_FOR)

    def shows_values(self, cookies: Mapping[str, str]) -> bool:
        """Return whether a person asked for values in this browser."""
        return _is_remembered(self._values, cookies.get(VALUES_COOKIE, ""), self.monotonic())

    def _has_token(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        if self.is_bearer(headers):
            return True
        return _is_remembered(self._sessions, cookies.get(SESSION_COOKIE, ""), self.monotonic())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _remember(kept: dict[str, float], now: float, seconds: float) -> str:
    """Return a new secret whose digest is kept for some seconds; of too many the oldest is dropped."""
    for digest in [digest for digest, until in kept.items() if until <= now]:
        del kept[digest]
    if len(kept) >= _MAX_SESSIONS:
        del kept[next(iter(kept))]
    secret = secrets.token_urlsafe(32)
    kept[_digest(secret).hex()] = now + seconds
    return secret


def _is_remembered(kept: Mapping[str, float], secret: str, now: float) -> bool:
    return bool(secret) and kept.get(_digest(secret).hex(), now) > now
