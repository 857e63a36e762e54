"""Authentication headers of API requests: fixed headers, HTTP Basic, a cached token, or a signature."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING

from batchsync.core.vendor_auth import AuthKind
from batchsync.errors import AmbiguousOutcomeError, RetryableError, UsageError, install_hint
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import Exchange, build, ensure_ok, read
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.signing import RequestSigner
from batchsync.vendors.template import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.vendor_auth import Assertion
    from batchsync.core.vendor_calls import AuthRules, Call
    from batchsync.ports import Clock
    from batchsync.vendors.assertion import AssertionSigner
    from batchsync.vendors.wire import Request, Response


class Auth:
    """Authentication of a connection. Thread-safe: one thread renews the token while the others wait.

    What is signed has times of the vendor's clock, whose difference to ours is known from its last answer.
    """

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
            redactor: Receives every token obtained, and every assertion.

        Raises:
            UsageError: If an assertion is needed, and the package that signs it is not installed.
            UnavailableError: If a credential that signs is no key.
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
        #: How far the vendor's clock is ahead of ours.
        self.clock_offset = timedelta(0)
        self._signed_with = timedelta(0)
        self._assertions: AssertionSigner | None = None
        self._signer: RequestSigner | None = None
        if rules.assertion is not None and rules.token is not None:
            url = f"{rules.base_url or base_url}{rules.token.url}"
            self._assertions = _assertion_signer(rules.assertion, credentials, url)
        if rules.signature is not None:
            self._signer = RequestSigner(rules.signature, credentials)

    def headers(self, request: Request) -> dict[str, str]:
        """Return the authentication headers of a request, with a token that is still valid.

        Args:
            request: The request, which is signed as it is, where the vendor spec has a signature.

        Raises:
            RetryableError: If no token could be obtained; the request that needs it was not sent.
            PermanentError: If the vendor refuses the credentials, or the batch file to sign cannot be read.
        """
        if self._signer is not None:
            self._signed_with = self.clock_offset
            return self._signer.headers(self._rules.headers, request, self._clock.now() + self.clock_offset)
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
        """Return whether to retry after a 401, and discard the token if its headers are the refused ones.

        A signed request is retried if only its answer has shown the vendor's time.
        """
        if self._signer is not None:
            return self._signed_with != self.clock_offset
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
        requested_at = self._clock.now()
        reason = ""
        try:
            exchange = self._exchange(call, requested_at)
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

    def _exchange(self, call: Call, requested_at: datetime) -> Exchange:
        """Send the token call; once more with another assertion, if its answer shows that our clock is wrong."""
        exchange = self._sent(call, requested_at)
        response = exchange.response
        offset = response_parsing.clock_offset(response.headers, requested_at)
        refused = HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if self._assertions is None or not refused or offset is None or offset == self.clock_offset:
            return exchange
        self.clock_offset = offset
        return self._sent(call, requested_at)

    def _sent(self, call: Call, requested_at: datetime) -> Exchange:
        """Send the token call once."""
        known = self._known
        if self._assertions is not None:
            assertion = self._assertions.sign(requested_at + self.clock_offset)
            self._redactor.add(assertion)
            known = {**known, "assertion": assertion}
        request = build(call, known, self._base_url)
        response = self._send(request)
        exchange = Exchange(call=call, request=request, response=response, now=requested_at, redactor=self._redactor)
        self.listener(exchange)
        return exchange


def _assertion_signer(rules: Assertion, credentials: Mapping[str, str], token_url: str) -> AssertionSigner:
    """Return the signer of assertions; raise if the package that signs is not installed."""
    try:
        module = import_module("batchsync.vendors.assertion")
    except ImportError:
        module = None
    if module is None:
        raise UsageError("a signed JSON Web Token needs the package PyJWT", hint=install_hint("jwt"))
    signer: AssertionSigner = module.AssertionSigner(rules, credentials, token_url)
    return signer
