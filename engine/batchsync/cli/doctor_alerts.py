"""Checks of `batchsync doctor` on the channels of alerts. No message is sent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from batchsync.cli.alerting import channel_secrets, ping_secrets
from batchsync.errors import BatchsyncError
from batchsync.observers.channels import check, check_ping
from batchsync.observers.delivery import DeliveryError
from batchsync.report.checks import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.alert_channels import AlertSettings
    from batchsync.observers.delivery import Secrets


def examine_alerts(settings: AlertSettings, *, is_trial: bool) -> Iterator[Check]:
    """Check that each channel of alerts is configured completely.

    Args:
        settings: The channels, and the ping.
        is_trial: Whether runs use mocks, so that channels need no secrets: nothing is sent to other machines.

    Yields:
        A check of each channel, and one of the ping.
    """
    for channel in settings.channels:
        found = f"complete; `batchsync alerts test {channel.name}` sends a message"
        secrets = partial(channel_secrets, channel)
        yield _check(channel.name, found, secrets, partial(check, channel), is_trial=is_trial)
    if settings.ping:
        found = "complete; `batchsync alerts test` pings it"
        yield _check("ping", found, partial(ping_secrets, settings), check_ping, is_trial=is_trial)


def _check(
    name: str, found: str, resolve: Callable[[], Secrets], examine: Callable[[Secrets], None], *, is_trial: bool
) -> Check:
    """Return what was found about a channel."""
    name = f"alerts/{name}"
    try:
        secrets = resolve()
    except BatchsyncError as error:
        found = f"{error.message}, which runs against mocks do not need" if is_trial else error.message
        return Check(name=name, ok=is_trial, found=found, fix="" if is_trial else error.hint)
    try:
        examine(secrets)
    except DeliveryError as error:
        return Check(name=name, ok=False, found=error.reason, fix=error.hint or f"correct {name} in the jobs file")
    return Check(name=name, ok=True, found=found)
