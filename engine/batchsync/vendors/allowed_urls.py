"""Says which URLs may be asked at all, and how a URL is written where people read. It opens no connection.

A URL is judged by one strict pattern rather than by a parser, so that no second parser can read another host in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.vendor_rules import Door
from lading.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterable

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")
#: Query strings are signatures. Whatever follows a question mark in a URL is never shown.
_QUERY = re.compile(
    r"(https?://(?:[^\s?\"'<>]|<redacted>)*)\?(?:[^\s\"'<>]|<redacted>)+",
    re.IGNORECASE,
)
#: Parameters that sign a URL or carry a credential. They are redacted wherever they stand: a URL may be relative, cut,
#: listed by parameter, or encoded.
_SIGNING = (
    r"X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|GoogleAccessId|Signature|Credential|sig"
    r"|access_token|refresh_token|id_token|client_secret"
).replace("-", r"(?:-|%(?:25)*2D)")
#: `=` and `&` URL-encoded any number of times, and escaped for HTML and JSON.
_EQUALS, _AND = r"%(?:25)*3D|&#0*61;|&#x0*3D;|&equals;|\\u003D", r"%(?:25)*26|%(?:25)*20"
_VALUE = r"(?:[^\s\"'<>&,\\]|<redacted>|\\(?!u0026)(?![\"'])|&(?:plus|sol|equals);|&#(?!0*38;|x0*26;)x?[0-9A-F]+;)"
_PARAMETER = re.compile(
    # No letter or digit may stand before the name, unless it ends an encoded `&` or `?`.
    rf"((?:(?<![A-Za-z0-9])|(?<=26)|(?<=3F))(?:{_SIGNING})"
    rf"(?:(?P<plain>=)|{_EQUALS}|\\?[\"']\s*:\s*|:\s*(?=[0-9A-F]{{32}}))(?:\\?[\"'])?)"
    rf"(?(plain){_VALUE}+|(?:(?!{_AND}){_VALUE})+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where requests may go: our `base_url`, the vendor's hosts, and this machine when `base_url` is on it.

    `*` in a host stands for letters, digits and hyphens of one label.
    """

    base_url: str
    api_hosts: tuple[str, ...]
    storage_hosts: tuple[str, ...]

    def check(self, url: str, door: Door) -> None:
        """Do nothing when the URL may be asked.

        Raises:
            Permanent: when it may not; the reason shows no query.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise Permanent("the URL has characters or a form that lading does not send")
        host = parts["host"].lower()
        if _LOOPBACK.fullmatch(host):
            if not is_loopback(self.base_url):
                raise Permanent(f"{host} is this machine, and base_url is not: refused")
            return
        if parts["scheme"] != "https":
            raise Permanent(f"{redacted(url)} is not https: refused")
        if parts["port"] not in {None, "443"}:
            raise Permanent(f"{redacted(url)} names a port that is not https's: refused")
        if not _allowed(host, self.api_hosts if door is Door.API else self.storage_hosts):
            raise Permanent(f"{host} is not among the hosts of this vendor's {door}: refused")


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine."""
    parts = _URL.fullmatch(url)
    return parts is not None and _LOOPBACK.fullmatch(parts["host"].lower()) is not None


def redacted(text: str) -> str:
    """Return a text without the query of any URL in it, and without the values of parameters that sign one."""
    return _PARAMETER.sub(r"\1<redacted>", _QUERY.sub(r"\1?<redacted>", text))


def _allowed(host: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(re.escape(one).replace(r"\*", "[a-z0-9-]+"), host) for one in patterns)
