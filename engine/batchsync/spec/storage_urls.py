"""URLs of storage in jobs.yaml: https, or http on this machine, without user info, query or fragment."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

#: A host and port, and a path of unreserved characters; one strict form, so that two parsers cannot disagree.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
#: Parts of a path that lead elsewhere, also as servers decode them.
_ELSEWHERE = re.compile(r"/(?:\.|%2e){1,2}(?=/|$)|%(?:00|0[ad]|2f|5c)", re.IGNORECASE)


def url_objection(url: str) -> str:
    """Return why a URL is refused; empty if it is allowed. The message does not contain the URL."""
    if "@" in url.partition("/")[2].partition("/")[2].partition("/")[0] or "?" in url or "#" in url:
        return "user info, query or fragment in a URL"
    found = _URL.fullmatch(url)
    if found is None or _ELSEWHERE.search(url):
        return "invalid URL"
    try:
        port = urlsplit(url).port
    except ValueError:
        return "invalid URL"
    if port == 0:
        return "invalid URL"
    if found["scheme"] == "http" and not _is_loopback(found["host"].strip("[]").lower()):
        return "http:// to a remote host"
    return ""


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
