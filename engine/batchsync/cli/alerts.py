"""`batchsync alerts`: a test message to the channels of alerts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from batchsync.cli.alerting import channel_secrets, ping_secrets
from batchsync.cli.command import SETTINGS, command
from batchsync.cli.session import Answer, Session
from batchsync.core.alert_text import trial_message
from batchsync.errors import BatchsyncError, ExitCode, UsageError
from batchsync.observers.channels import ping as send_ping
from batchsync.observers.channels import send
from batchsync.observers.delivery import DeliveryError
from batchsync.report.checks import Check, ChecksReport
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.alert_channels import AlertSettings, AnyChannel


@command("test", example="batchsync alerts test\nbatchsync alerts test ops")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
def trial(session: Session, channels: tuple[str, ...]) -> Answer:
    """Send a test message to the channels of alerts, and say for each whether it was accepted.

    Without names, to every channel of `alerts:`, and the check behind `ping:` gets a log entry, which changes nothing
    of its state. Needs no state and no vendor. The exit code is 3 if a message was not accepted.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no channel, or none of a name.
    """
    settings = session.deployment().alerts
    names = [channel.name for channel in settings.channels]
    if unknown := [name for name in channels if name not in names]:
        hint = names_hint(unknown[0], names, "channels") if names else "declare it: alerts: {channels: ...}"
        raise UsageError(f'unknown channel "{unknown[0]}"', hint=hint)
    if not names and not settings.ping:
        raise UsageError(
            "the jobs file declares no alerts", hint="add `alerts: {channels: ...}`; docs/alerts.md has examples"
        )
    report = ChecksReport(checks=tuple(_tried(session, settings, channels)), command="alerts test")
    return Answer(report=report, exit_code=ExitCode.ENVIRONMENT if report.problems else ExitCode.DONE)


def _tried(session: Session, settings: AlertSettings, chosen: tuple[str, ...]) -> Iterator[Check]:
    """Send a message to each channel, and yield what became of it."""
    now, environment = session.now(), session.settings().env or ""

    def try_channel(channel: AnyChannel) -> None:
        send(channel, channel_secrets(channel), trial_message(channel.name, environment, now), now)

    def ping() -> None:
        send_ping(ping_secrets(settings), "log")

    for channel in settings.channels:
        if not chosen or channel.name in chosen:
            yield _check(channel.name, partial(try_channel, channel))
    if settings.ping and not chosen:
        yield _check("ping", ping)


def _check(name: str, deliver: Callable[[], None]) -> Check:
    """Return what became of a delivery."""
    try:
        deliver()
    except DeliveryError as error:
        again = "batchsync alerts test" if name == "ping" else f"batchsync alerts test {name}"
        return Check(name=name, ok=False, found=error.reason, fix=error.hint or f"correct it, then run `{again}`")
    except BatchsyncError as error:
        return Check(name=name, ok=False, found=error.message, fix=error.hint)
    return Check(name=name, ok=True, found="accepted")


@click.group("alerts", context_settings=SETTINGS)
def alerts() -> None:
    """Send a test message to the channels of alerts."""


alerts.add_command(trial)
