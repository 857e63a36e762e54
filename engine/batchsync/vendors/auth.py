"""Proves who we are on every API request: fixed headers, HTTP Basic, or a token that is kept until near its end.

It knows no vendor and sends nothing itself; a token is asked for through a function that it is given.
"""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from lading.core.vendor_rules import AuthKind
from lading.errors import DidNotHappen, Unclear
from lading.vendors import reading
from lading.vendors.dialect import Asked, accept, build, read
from lading.vendors.redaction import Redactor
from lading.vendors.template import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from lading.core.vendor_rules import AuthRules
    from lading.ports import Clock
    from lading.vendors.wire import Answer, Request


class Auth:
    """The proof of one connection. Safe to share between threads: one of them renews, the others wait for it."""

    def __init__(
        self,
        rules: AuthRules,
        credentials: Mapping[str, str],
        ask: Callable[[Request], Answer],
        *,
        base_url: str,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> None:
        """Keep what is needed to prove who we are; nothing is asked yet. `redactor` is given every token obtained."""
        self._rules = rules
        self._known: dict[str, str | int | None] = {f"credentials.{name}": one for name, one in credentials.items()}
        self._ask = ask
        self._base_url = base_url
        self._clock = clock
        self._redactor = redactor or Redactor(credentials.values())
        self._lock = threading.Lock()
        self._token = ""
        self._until: datetime | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the proof, with a token that is still good.

        Raises:
            DidNotHappen: when no token could be had now. Whatever it was for has not been sent.
            Permanent: when the vendor refuses the credentials.
        """
        if self._rules.kind is AuthKind.BASIC:
            pair = (
                f"{self._known[f'credentials.{self._rules.user}']}:{self._known[f'credentials.{self._rules.password}']}"
            )
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}
        known = self._known
        if self._rules.token is not None:
            known = {**known, "token": self._good_token()}
        return {name: str(fill(template, known)) for name, template in self._rules.headers.items()}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Say whether a 401 is worth one more try: true when a token newer than the refused one is at hand."""
        if self._rules.token is None:
            return False
        with self._lock:
            known = {**self._known, "token": self._token}
            current = {name: str(fill(template, known)) for name, template in self._rules.headers.items()}
            if current == dict(refused):
                self._until = None
        return True

    def _good_token(self) -> str:
        with self._lock:
            if self._until is None or self._clock.now() >= self._until:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        """Ask for a token. What is unclear about a token is clear about the request that needs it: it was not sent."""
        call = self._rules.token
        if call is None:
            return
        request = build(call, self._known, self._base_url)
        begun = self._clock.now()
        reason = ""
        try:
            asked = Asked(call=call, request=request, answer=self._ask(request), now=begun, redactor=self._redactor)
            accept(asked)
            body = read(asked)
        except Unclear as unclear:
            reason = unclear.reason
        if reason:
            raise DidNotHappen(f"no token could be had: {reason}")
        token = reading.text(body, call.read["token"])
        self._redactor.add(token or "")
        if token is None or not token.isprintable() or not token.isascii():
            raise DidNotHappen(f"no token could be had: {asked.where}: the answer holds none")
        named = next((one for one in (reading.count(body, at) for at in call.read.get("seconds", ())) if one), None)
        lifetime = timedelta(seconds=min(named, 10**7)) if named is not None else self._rules.lifetime
        # A token that lives shorter than the reserve is still used once.
        self._token, self._until = token, begun + max(lifetime - self._rules.renew_before, timedelta(seconds=1))
