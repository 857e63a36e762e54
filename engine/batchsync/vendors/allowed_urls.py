"""URL allow-list and redaction of URLs.

URLs are matched against one strict pattern instead of being parsed, so that two parsers cannot disagree about the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchsync.core.storage_location import (
    host_matches,
    location_matches,
    objection_to_declared,
    storage_location,
)
from batchsync.core.vendor_calls import Endpoint
from batchsync.errors import PermanentError

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")
#: Query strings may be signatures: the part of a URL after its question mark is never shown.
_QUERY = re.compile(
    r"(https?://(?:[^\s?\"'<>]|<redacted>)*)\?(?:[^\s\"'<>]|<redacted>)+",
    re.IGNORECASE,
)
#: Parameters that sign a URL or carry a credential. They are redacted anywhere in a text: a URL may be relative, cut,
#: listed by parameter, or encoded.
_SIGNING = (
    r"X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|GoogleAccessId|Signature|Credential|sig"
    r"|access_token|refresh_token|id_token|client_secret"
).replace("-", r"(?:-|%(?:25)*2D)")
#: `=` and `&` URL-encoded any number of times, and escaped for HTML and JSON.
_EQUALS, _AND = r"%(?:25)*3D|&#0*61;|&#x0*3D;|&equals;|\\u003D", r"%(?:25)*26|%(?:25)*20"
_VALUE = r"(?:[^\s\"'<>&,\\]|<redacted>|\\(?!u0026)(?![\"'])|&(?:plus|sol|equals);|&#(?!0*38;|x0*26;)x?[0-9A-F]+;)"
_PARAMETER = re.compile(
    # No letter or digit may precede the name, unless it ends an encoded `&` or `?`.
    rf"((?:(?<![A-Za-z0-9])|(?<=26)|(?<=3F))(?:{_SIGNING})"
    rf"(?:(?P<plain>=)|{_EQUALS}|\\?[\"']\s*:\s*|:\s*(?=[0-9A-F]{{32}}))(?:\\?[\"'])?)"
    rf"(?(plain){_VALUE}+|(?:(?!{_AND}){_VALUE})+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlAllowList:
    """URLs that requests may be sent to: the vendor's hosts, and loopback addresses if `base_url` is one.

    Attributes:
        base_url: The connection's base URL.
        api_hosts: Host names of the API. `*` matches letters, digits and hyphens within one label.
        storage_hosts: Host names of signed upload and download URLs, in the same form, or `host/bucket`.
        declared: Those of `storage_hosts` that the connection declares.
    """

    base_url: str
    api_hosts: tuple[str, ...]
    storage_hosts: tuple[str, ...]
    declared: tuple[str, ...] = ()

    def check(self, url: str, endpoint: Endpoint) -> None:
        """Check that a request may be sent to the URL.

        Raises:
            PermanentError: If it may not; the message contains no query string.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise PermanentError("the URL has characters or a format that batchsync does not send")
        host = parts["host"].lower()
        if _LOOPBACK.fullmatch(host):
            if not is_loopback(self.base_url):
                raise PermanentError(f"{host} is a loopback address and base_url is not: refused")
            return
        if parts["scheme"] != "https":
            raise PermanentError(f"{redacted(url)} does not use https: refused")
        if parts["port"] not in {None, "443"}:
            raise PermanentError(f"{redacted(url)} has a port other than 443: refused")
        if endpoint is Endpoint.API and not host_matches(host, self.api_hosts):
            raise PermanentError(f"{host} is not one of the api hosts in the vendor spec: refused")
        if endpoint is Endpoint.STORAGE:
            self._check_location(url, host, parts["path"] or "")

    def location(self, url: str) -> str | None:
        """Return the storage that a URL leads to: its host, or host and bucket; None for a loopback address.

        Raises:
            PermanentError: If the URL does not tell the bucket.
        """
        parts = _URL.fullmatch(url)
        if parts is None or _LOOPBACK.fullmatch(parts["host"].lower()):
            return None
        found = storage_location(parts["host"].lower(), parts["path"] or "", self.storage_hosts)
        if found is None:
            raise PermanentError(f"{redacted(url)} does not begin with the name of a bucket: refused")
        return found

    def _check_location(self, url: str, host: str, path: str) -> None:
        if host_matches(host, self.storage_hosts):
            # A path that names no bucket is refused with its own reason.
            self.location(url)
        found = storage_location(host, path, self.storage_hosts)
        if found is not None and location_matches(found, self.storage_hosts):
            return
        shown = found or host
        reason = f"the vendor names storage {shown}, which neither its spec nor the connection has: refused"
        if found is None or objection_to_declared(found):
            raise PermanentError(reason)
        listed = ", ".join((*self.declared, found))
        raise PermanentError(
            f"{reason}. If the vendor confirms it, add to the connection in jobs.yaml: storage_hosts: [{listed}]"
        )


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is a loopback address."""
    parts = _URL.fullmatch(url)
    return parts is not None and _LOOPBACK.fullmatch(parts["host"].lower()) is not None


def redacted(text: str) -> str:
    """Return a text with the queries of URLs and the values of signing parameters replaced by `<redacted>`."""
    return _PARAMETER.sub(r"\1<redacted>", _QUERY.sub(r"\1?<redacted>", text))
