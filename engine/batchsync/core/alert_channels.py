"""Channels of alerts as frozen values, compiled from `alerts:` of jobs.yaml, and which alert goes where.

References to secrets (`${NAME}`, `${file:...}`) are kept as written; they are resolved when something is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from batchsync.core.alert_conditions import RECOVERED, TRANSITIONS
from batchsync.core.mapping import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.core.alerts import Alert

#: Time after a tick from which on it is late, unless jobs.yaml says another.
LATE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What channels of every kind have.

    Attributes:
        name: Name of the channel.
        transitions: Transitions that are sent.
        jobs: Names of the jobs of which alerts are sent; of the jobs file in any case.
        place: Location in jobs.yaml.
    """

    name: str
    transitions: frozenset[str] = frozenset(TRANSITIONS)
    jobs: frozenset[str] = frozenset()
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel(Channel):
    """A webhook.

    Attributes:
        shape: Form of the message: slack, teams or json.
        url: Reference to the URL.
        secret: Reference to the secret that signs requests; empty for none.
        proxy: Proxy, with references as written; empty for none.
        ca_bundle: PEM file of certificates to trust instead of the public ones.
    """

    shape: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    proxy: str = field(default="", repr=False)
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel(Channel):
    """E-mail by SMTP.

    Attributes:
        to: Addresses of the recipients.
        sender: Address of the sender.
        host: The server.
        port: Its port.
        tls: starttls, implicit or none.
        user: Reference to the user name; empty for no login.
        password: Reference to the password.
        ca_bundle: PEM file of certificates to trust instead of the public ones.
    """

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    tls: str = "starttls"
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseChannel(Channel):
    """Services that the package apprise sends to; `urls` are references to its URLs."""

    urls: tuple[str, ...] = field(repr=False)


AnyChannel: TypeAlias = WebhookChannel | EmailChannel | AppriseChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """The block `alerts:` of jobs.yaml.

    Attributes:
        channels: The channels, in their order.
        overrides: Names of channels by job, for jobs that name theirs instead of being selected by channels.
        late_after: Time after a tick from which on it is late.
        ping: Reference to the URL of a dead-man check; empty for none.
        ping_proxy: Proxy of the ping, with references as written.
    """

    channels: tuple[AnyChannel, ...] = ()
    overrides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    late_after: timedelta = LATE_AFTER
    ping: str = field(default="", repr=False)
    ping_proxy: str = field(default="", repr=False)


def recipients(alert: Alert, channels: Iterable[Channel], overrides: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names of the channels that an alert goes to.

    A recovery goes to the channels that select both `recovered` and its condition.

    Args:
        alert: The alert.
        channels: All channels.
        overrides: Channels by job, for jobs that name theirs, instead of the selection of jobs by the channels.
    """
    needed = {alert.condition.value, RECOVERED} if alert.recovered else {alert.condition.value}
    own = overrides.get(alert.job)
    return tuple(
        channel.name
        for channel in channels
        if needed <= channel.transitions
        and (not alert.job or (alert.job in channel.jobs if own is None else channel.name in own))
    )


def references_of(channel: AnyChannel) -> dict[str, str]:
    """Return the references of a channel by key; those of apprise are numbered."""
    match channel:
        case WebhookChannel():
            found = {"url": channel.url, "secret": channel.secret}
        case EmailChannel():
            found = {"user": channel.user, "password": channel.password}
        case AppriseChannel():
            found = {f"apprise {number}": url for number, url in enumerate(channel.urls, start=1)}
    return {key: text for key, text in found.items() if text}
