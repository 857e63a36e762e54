"""Authentication headers of API requests: fixed headers, HTTP Basic, or a cached token."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import AuthKind
from batchsync.errors import AmbiguousOutcomeError, RetryableError
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import Exchange, build, ensure_ok, read
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.template import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.vendor_calls import AuthRules
    from batchsync.ports import Clock
    from batchsync.vendors.wire import Request, Response


class Auth:
    """Authentication of a connection. Thread-safe: one thread renews the token while the others wait."""

    def __init__(
        self,
        rules: AuthRules,
        credentials: Mapping[str, str],
        send: Callable[[Request], Response],
        *,
        base_url: str,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> None:
        """Create the authentication of a connection. No request is sent yet.

        Args:
            rules: Kind and parameters of the authentication, from the vendor spec.
            credentials: Values of credentials, by name.
            send: Sends a token request.
            base_url: Base URL of the API, for token calls with a relative URL.
            clock: Time source for token lifetimes.
            redactor: Receives every token obtained.
        """
        self._rules = rules
        self._known: dict[str, str | int | None] = {f"credentials.{name}": item for name, item in credentials.items()}
        self._send = send
        self._base_url = base_url
        self._clock = clock
        self._redactor = redactor or Redactor(credentials.values())
        #: Called with each exchange of a token.
        self.listener: Callable[[Exchange], None] = lambda _: None
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at: datetime | None = None

    def headers(self) -> dict[str, str]:
        """Return the authentication headers, with a token that is still valid.

        Raises:
            RetryableError: If no token could be obtained; the request that needs it was not sent.
            PermanentError: If the vendor refuses the credentials.
        """
        if self._rules.kind is AuthKind.BASIC:
            pair = (
                f"{self._known[f'credentials.{self._rules.user}']}:{self._known[f'credentials.{self._rules.password}']}"
            )
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}
        known = self._known
        if self._rules.token is not None:
            known = {**known, "token": self._valid_token()}
        return {name: str(fill(template, known)) for name, template in self._rules.headers.items()}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Return whether to retry after a 401, and discard the token if its headers are the refused ones."""
        if self._rules.token is None:
            return False
        with self._lock:
            known = {**self._known, "token": self._token}
            current = {name: str(fill(template, known)) for name, template in self._rules.headers.items()}
            if current == dict(refused):
                self._renew_at = None
        return True

    def _valid_token(self) -> str:
        """Return the cached token, or a new one if it has to be renewed."""
        with self._lock:
            if self._renew_at is None or self._clock.now() >= self._renew_at:
                self._fetch_token()
            return self._token

    def _fetch_token(self) -> None:
        """Fetch a token. An ambiguous outcome is retryable here: the request that needs the token was not sent."""
        call = self._rules.token
        if call is None:
            return
        request = build(call, self._known, self._base_url)
        requested_at = self._clock.now()
        reason = ""
        try:
            response = self._send(request)
            exchange = Exchange(
                call=call, request=request, response=response, now=requested_at, redactor=self._redactor
            )
            self.listener(exchange)
            ensure_ok(exchange)
            body = read(exchange)
        except AmbiguousOutcomeError as ambiguous:
            reason = ambiguous.reason
        if reason:
            raise RetryableError(f"no token obtained: {reason}")
        token = response_parsing.text(body, call.read["token"])
        self._redactor.add(token or "")
        if token is None or not token.isprintable() or not token.isascii():
            raise RetryableError(f"no token obtained: {exchange.request_line}: the response contains none")
        counts = (response_parsing.count(body, pointer) for pointer in call.read.get("seconds", ()))
        seconds = next((count for count in counts if count), None)
        lifetime = timedelta(seconds=min(seconds, 10**7)) if seconds is not None else self._rules.lifetime
        # A token with a lifetime below `renew_before` is still used once.
        self._token, self._renew_at = (
            token,
            requested_at + max(lifetime - self._rules.renew_before, timedelta(seconds=1)),
        )
