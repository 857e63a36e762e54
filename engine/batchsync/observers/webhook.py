"""Webhooks of alerts, and pings of a dead-man check. The only module of the observers that imports `requests`.

Redirects are not followed, nothing of the environment is used, and no URL gets into an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from batchsync import __version__
from batchsync.observers.delivery import SECONDS, DeliveryError, certificates
from batchsync.util.hosts import is_loopback
from batchsync.vendors.deadline import Deadline
from batchsync.vendors.http import DeadlineAdapter

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.alert_channels import WebhookChannel
    from batchsync.core.alert_text import Message
    from batchsync.observers.delivery import Secrets
    from batchsync.ports import Proxy

_CONNECT_SECONDS = 5.0
#: Prefix of secrets of Standard Webhooks, whose rest is base64.
_BASE64_MARK = "whsec_"


def send(channel: WebhookChannel, secrets: Secrets, message: Message, now: datetime) -> None:
    """Send a message to a webhook.

    Args:
        channel: The channel.
        secrets: Its URL, and the secret that signs requests.
        message: The message.
        now: Time of the signature.

    Raises:
        DeliveryError: If it was not accepted.
    """
    body = json.dumps(shaped(channel.shape, message), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "webhook-id": message.id}
    if secret := secrets.values.get("secret"):
        timestamp = str(int(now.timestamp()))
        headers |= {
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature(secret, message.id, timestamp, body)}",
        }
    _request("POST", secrets.values["url"], body, headers, proxy=secrets.proxy, verify=channel.ca_bundle or True)


def check(channel: WebhookChannel, secrets: Secrets) -> None:
    """Check whether messages can be formed for a webhook; nothing is sent.

    Args:
        channel: The channel.
        secrets: Its URL, and the secret that signs requests.

    Raises:
        DeliveryError: If the URL, the secret or the certificates cannot be used.
    """
    check_url(secrets.values["url"])
    if secret := secrets.values.get("secret"):
        signature(secret, "", "", b"")
    certificates(channel.ca_bundle)


def send_ping(url: str, kind: str, proxy: Proxy | None) -> None:
    """Ping a dead-man check.

    Args:
        url: URL of the check.
        kind: Empty for success; else start, fail or log, which is appended to the path.
        proxy: Proxy of the request.

    Raises:
        DeliveryError: If the ping was not accepted.
    """
    check_url(url)
    parts = urlsplit(url)
    path = f"{parts.path.rstrip('/')}/{kind}" if kind else parts.path
    _request("GET", urlunsplit(parts._replace(path=path)), b"", {}, proxy=proxy, verify=True)


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a request as Standard Webhooks describes it: base64 of an HMAC-SHA256.

    Args:
        secret: The secret; behind `whsec_` the key in base64, else the key itself.
        message_id: Value of the header `webhook-id`.
        timestamp: Value of the header `webhook-timestamp`.
        body: Body of the request.

    Raises:
        DeliveryError: If the secret begins with `whsec_`, and the rest is not base64.
    """
    key = secret.encode()
    if secret.startswith(_BASE64_MARK):
        try:
            key = base64.b64decode(secret.removeprefix(_BASE64_MARK), validate=True)
        except binascii.Error:
            key = b""
        if not key:
            raise DeliveryError("its secret begins with whsec_, and the rest is not base64")
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def shaped(shape: str, message: Message) -> dict[str, Any]:
    """Return the body of a request in a shape: slack, teams or json."""
    if shape == "slack":
        return {"text": _slack_text(f"*{message.subject}*\n{message.body}")}
    if shape == "json":
        return message.to_dict()
    blocks = [
        {"type": "TextBlock", "text": message.subject, "weight": "Bolder", "size": "Medium", "wrap": True},
        *({"type": "TextBlock", "text": line, "wrap": True} for line in message.body.splitlines()),
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def check_url(url: str) -> None:
    """Check that a URL may be asked: https, or http on this machine.

    Raises:
        DeliveryError: If it may not; the message does not contain it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise DeliveryError("its URL is not valid")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise DeliveryError("its URL is not https")


def _slack_text(text: str) -> str:
    """Return a text in which nothing is a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _request(
    method: str, url: str, body: bytes, headers: dict[str, str], *, proxy: Proxy | None, verify: str | bool
) -> None:
    """Send a request; the body of the answer is not read.

    Raises:
        DeliveryError: If the status is no success, or there is no answer in time.
    """
    check_url(url)
    failure = ""
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        adapter = DeadlineAdapter(Deadline(SECONDS), proxy)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        try:
            response = session.request(
                method,
                url,
                data=body or None,
                headers={"User-Agent": f"batchsync/{__version__}", "Connection": "close", **headers},
                timeout=(_CONNECT_SECONDS, SECONDS),
                allow_redirects=False,
                stream=True,
                verify=verify,
                proxies=dict.fromkeys(("https", "http"), proxy.url) if proxy else {},
            )
            response.close()
            if not response.ok or response.is_redirect:
                failure = f"HTTP {response.status_code}"
        except requests.exceptions.SSLError:
            failure = "untrusted certificate"
        except (requests.Timeout, TimeoutError):
            failure = f"no answer in {SECONDS:g} s"
        except (requests.RequestException, HTTPError, OSError, ValueError):
            failure = "the server cannot be reached"
    if failure:
        raise DeliveryError(failure)
