"""Delivery of a message to a channel of any kind. The module of a kind is imported when it is used."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchsync.core.alert_channels import AppriseChannel, EmailChannel, WebhookChannel
from batchsync.errors import install_hint
from batchsync.observers.delivery import DeliveryError, bounded
from batchsync.util.hosts import is_loopback

if TYPE_CHECKING:
    from datetime import datetime
    from types import ModuleType

    from batchsync.core.alert_channels import AnyChannel
    from batchsync.core.alert_text import Message
    from batchsync.observers.delivery import Secrets

#: Module by kind of channel; each has a function `send` of channel, secrets, message and time.
_MODULES = {
    WebhookChannel: "batchsync.observers.webhook",
    EmailChannel: "batchsync.observers.mail",
    AppriseChannel: "batchsync.observers.apprise_services",
}


def send(channel: AnyChannel, secrets: Secrets, message: Message, now: datetime) -> None:
    """Send a message to a channel.

    Args:
        channel: The channel.
        secrets: What its references stand for.
        message: The message.
        now: Present time.

    Raises:
        DeliveryError: If it was not delivered.
    """
    bounded(partial(_module(channel).send, channel, secrets, message, now))


def check(channel: AnyChannel, secrets: Secrets) -> None:
    """Check whether a channel is configured completely; nothing is sent.

    Args:
        channel: The channel.
        secrets: What its references stand for.

    Raises:
        DeliveryError: If no message can be delivered, whatever its server says.
    """
    bounded(partial(_module(channel).check, channel, secrets))


def check_ping(secrets: Secrets) -> None:
    """Check whether the URL of a dead-man check may be asked; nothing is sent.

    Raises:
        DeliveryError: If it may not.
    """
    import_module("batchsync.observers.webhook").check_url(secrets.values["ping"])


def ping(secrets: Secrets, kind: str) -> None:
    """Ping a dead-man check.

    Args:
        secrets: The URL of the check, and a proxy.
        kind: Empty for success; else start, fail or log, which is appended to the path.

    Raises:
        DeliveryError: If the ping was not accepted.
    """
    webhook = import_module("batchsync.observers.webhook")
    bounded(partial(webhook.send_ping, secrets.values["ping"], kind, secrets.proxy))


def is_local(channel: AnyChannel, secrets: Secrets) -> bool:
    """Return whether all servers of a channel are on this machine."""
    if isinstance(channel, EmailChannel):
        return is_loopback(channel.host)
    return all(is_local_url(text) for key, text in secrets.values.items() if key != "secret")


def is_local_url(url: str) -> bool:
    """Return whether a URL is of a server on this machine."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _module(channel: AnyChannel) -> ModuleType:
    """Return the module of a kind of channel.

    Raises:
        DeliveryError: If its package is not installed.
    """
    try:
        return import_module(_MODULES[type(channel)])
    except ImportError as error:
        if error.name != "apprise":
            raise
    raise DeliveryError("the package apprise is not installed", install_hint("alerts"))
