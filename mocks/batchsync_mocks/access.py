"""Access to the control API: the names of this machine, the origin of a web page, and the control token.

A web page of another site can send requests to a port of this machine, and, after its domain name was pointed at this
machine (DNS rebinding), read the responses. It cannot choose the headers `Host` and `Origin`. Other users of the
machine can choose them, but do not have the token.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from werkzeug.wrappers import Request

#: Environment variable of `python -m batchsync_mocks` with the control token.
VARIABLE = "BATCHSYNC_MOCKS_TOKEN"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_NAME = r"\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)"
_HOST = re.compile(rf"(?:{_NAME})(?::[0-9]{{1,5}})?")
_SHOWN = 80


class AccessDeniedError(Exception):
    """Error for a request that the control API refuses: `status` and the reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        """Create the error."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAccess:
    """Which requests may use the control API.

    Attributes:
        token: The control token.
        hosts: Names and addresses of this machine besides those of the loopback interface, in lower case.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    hosts: frozenset[str] = frozenset()

    @property
    def headers(self) -> dict[str, str]:
        """Return the request headers that carry the token."""
        return {"Authorization": f"Bearer {self.token}"}

    def check_sender(self, request: Request) -> None:
        """Check that a request is addressed to this machine by name, and is not sent by a page of another site.

        Raises:
            AccessDeniedError: If the header `Host` is missing or names another machine, or `Origin` names another site.
        """
        host = str(request.environ.get("HTTP_HOST", "")).lower()
        matched = _HOST.fullmatch(host)
        name = (matched["address"] or matched["name"]).removesuffix(".") if matched else ""
        if name not in self.hosts and not _is_loopback(name) and name != _local_address(request):
            reason = f"The control API is not served as host {host[:_SHOWN]!r}. Use a loopback address, or start the "
            reason += "mocks with --allow-host NAME if this is a name of their machine."
            raise AccessDeniedError(HTTPStatus.FORBIDDEN, reason)
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
            reason = f"The control API accepts no requests of pages from {origin[:_SHOWN]!r}."
            raise AccessDeniedError(HTTPStatus.FORBIDDEN, reason)

    def check_token(self, request: Request) -> None:
        """Check that a request carries the control token.

        Raises:
            AccessDeniedError: If it carries none, or another one.
        """
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        is_valid = hmac.compare_digest(sent.strip().encode("utf-8", "replace"), self.token.encode())
        if scheme.lower() != "bearer" or not is_valid:
            reason = "This page of the control API needs the control token: send the header `Authorization: Bearer "
            reason += "TOKEN`. The mocks print the token when they start, as `control_token`."
            raise AccessDeniedError(HTTPStatus.UNAUTHORIZED, reason)


def control_access(token: str | None, host: str, allow_hosts: Iterable[str]) -> ControlAccess:
    """Return the access rules of mocks.

    Args:
        token: The control token; None draws one at random.
        host: Address that the mocks listen on.
        allow_hosts: Further names and addresses of their machine.

    Raises:
        ValueError: If the token is too short or has other characters than a header may carry, or a name has a port or
            other characters than a host name.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        msg = "A control token has 16 to 512 letters, digits or characters of ._~+/=-"
        raise ValueError(msg)
    for name in allow_hosts:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name) and not _is_address(name):
            msg = f"{name[:_SHOWN]!r} is not a host; name a host or an address without a port, like mocks.internal."
            raise ValueError(msg)
    hosts = frozenset(name.lower() for name in (host, *allow_hosts) if name)
    return ControlAccess(hosts=hosts) if token is None else ControlAccess(token=token, hosts=hosts)


def _is_loopback(name: str) -> bool:
    """Return whether a host is `localhost` or an address of the loopback interface."""
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _local_address(request: Request) -> str:
    """Return the address of this machine that the client is connected to."""
    return str(request.environ["werkzeug.socket"].getsockname()[0])
