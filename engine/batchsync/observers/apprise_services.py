"""Alerts by the services that the package apprise sends to. The only module that imports it, when it is needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import apprise

from batchsync.observers.delivery import DeliveryError

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.alert_channels import AppriseChannel
    from batchsync.core.alert_text import Message
    from batchsync.observers.delivery import Secrets

# Log lines of the package contain parts of URLs.
_LOGGER = logging.getLogger("apprise")
_LOGGER.addHandler(logging.NullHandler())
_LOGGER.propagate = False


def send(channel: AppriseChannel, secrets: Secrets, message: Message, now: datetime) -> None:
    """Send a message to every service of a channel.

    Args:
        channel: The channel.
        secrets: URLs of apprise, as values.
        message: The message.
        now: Present time; unused.

    Raises:
        DeliveryError: If a URL is none of apprise, or a service did not accept the message.
    """
    del now
    services = _services(secrets)
    if not services.notify(title=message.subject, body=message.body):
        raise DeliveryError(f"one of {len(channel.urls)} services did not accept the message")


def check(channel: AppriseChannel, secrets: Secrets) -> None:
    """Check whether apprise knows the services of a channel; nothing is sent.

    Args:
        channel: The channel; unused.
        secrets: URLs of apprise, as values.

    Raises:
        DeliveryError: If a URL is none of apprise.
    """
    del channel
    _services(secrets)


def _services(secrets: Secrets) -> apprise.Apprise:
    """Return the services of some URLs.

    Raises:
        DeliveryError: If a URL is none of apprise.
    """
    services = apprise.Apprise()
    if not all(services.add(url) for url in secrets.values.values()):
        raise DeliveryError("one of its URLs is none of apprise")
    return services
