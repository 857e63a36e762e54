"""Evaluation and delivery of alerts by one thread with a journal of its own.

A transition and its messages are journaled in one transaction; then each message is claimed, sent, and recorded as
sent. A crash between sending and recording repeats that one message, with the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.alert_channels import recipients
from batchsync.core.alert_conditions import Facts
from batchsync.core.alert_text import Message, message_of
from batchsync.core.alerts import evaluate
from batchsync.errors import BatchsyncError
from batchsync.journal import AlertChanges, AlertMessage
from batchsync.observers.alert_facts import FactsReader
from batchsync.observers.channels import is_local, is_local_url, ping, send
from batchsync.observers.delivery import SECONDS, DeliveryError, Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.alert_channels import AlertSettings, AnyChannel
    from batchsync.core.alert_conditions import Seen, States
    from batchsync.journal import Journal, PendingAlert
    from batchsync.observers.alert_facts import Schedules, WatchedJob

#: While a process sends a message, no other tries for this long; longer than any delivery.
_CLAIM = timedelta(seconds=6 * SECONDS)
#: First wait after a failed delivery, doubled after each, up to the longest; a message that is older is given up.
_RETRY, _RETRY_MAX, _GIVE_UP = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is watched, as jobs.yaml says now.

    Attributes:
        settings: Channels and their jobs.
        jobs: All declared jobs.
        environment: Chosen environment; empty if there is none.
    """

    settings: AlertSettings
    jobs: tuple[WatchedJob, ...]
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How messages leave this machine.

    Attributes:
        secrets: Resolve the references of a channel.
        ping: Resolve URL and proxy of the ping; the URL is empty if there is none.
        only_local: Whether nothing is sent to other machines, as in runs against mocks.
        warn: Takes a message for the person at the terminal.
    """

    secrets: Callable[[AnyChannel], Secrets]
    ping: Callable[[AlertSettings], Secrets]
    only_local: bool
    warn: Callable[[str], None]


class AlertEngine:
    """Evaluates and delivers; used by one thread."""

    def __init__(self, journal: Journal, schedules: Schedules, means: Means) -> None:
        """Keep the collaborators.

        Args:
            journal: A journal that only this thread uses.
            schedules: What is known about ticks.
            means: How messages leave this machine.
        """
        self._journal, self._schedules, self._means = journal, schedules, means
        #: Last failure by channel; a repeated one is not reported again.
        self._failed: dict[str, str] = {}

    def step(self, watch: Watch, seen: Seen, now: datetime) -> None:
        """Record the transitions since the last step, and send what is to be sent.

        Args:
            watch: What is watched.
            seen: What this process has met.
            now: Present time.

        Raises:
            BatchsyncError: If the journal cannot be used.
        """
        if watch.settings.channels:
            changes = self._changes(self._journal.alert_states(), watch, seen, now)
            if changes.states:
                # Decided again in the transaction: another process may have recorded the same transitions meanwhile.
                self._journal.change_alerts(lambda states: self._changes(states, watch, seen, now), now)
        self._deliver(watch, now)

    def ping(self, settings: AlertSettings, kind: str) -> None:
        """Ping the dead-man check, if there is one; a failure is reported once."""
        if not settings.ping:
            return
        try:
            found = self._means.ping(settings)
            if self._means.only_local and not is_local_url(found.values["ping"]):
                return
            ping(found, kind)
        except (DeliveryError, BatchsyncError) as error:
            self._report("ping", error)
        else:
            self._failed.pop("ping", None)

    def _changes(self, states: Mapping[str, States], watch: Watch, seen: Seen, now: datetime) -> AlertChanges:
        """Return the changes of some states by the facts of now."""
        changed: dict[str, States] = {}
        messages: list[AlertMessage] = []
        reader = FactsReader(self._journal, self._schedules, now)
        facts = [reader.read(job, seen.failures.get(job.name)) for job in watch.jobs]
        facts.append(
            Facts(
                job="",
                failure=seen.file_failure,
                recovers=seen.file_recovers,
                unasked=seen.unasked,
                asked=seen.asked,
                ticks_known=True,
            )
        )
        for item in facts:
            before = states.get(item.job, {})
            found = evaluate(before, item, now, watch.settings.late_after)
            if found.states != before:
                changed[item.job] = found.states
            for alert in found.alerts:
                content = message_of(alert, watch.environment).to_dict()
                names = recipients(alert, watch.settings.channels, watch.settings.overrides)
                messages += [AlertMessage(id=alert.id, channel=name, content=content) for name in names]
        known = {item.job for item in facts}
        changed |= {job: {} for job in states if job not in known}
        return AlertChanges(states=changed, messages=tuple(messages))

    def _deliver(self, watch: Watch, now: datetime) -> None:
        """Send pending messages, in order; after a failure the others of its channel wait for the next step."""
        channels = {channel.name: channel for channel in watch.settings.channels}
        stopped: set[str] = set()
        for alert in self._journal.pending_alerts(now):
            channel = channels.get(alert.channel)
            if alert.channel in stopped:
                continue
            if channel is None or now - alert.at > _GIVE_UP:
                self._journal.end_alert(alert, sent=False)
            elif not self._delivered(channel, alert, now):
                stopped.add(alert.channel)

    def _delivered(self, channel: AnyChannel, alert: PendingAlert, now: datetime) -> bool:
        """Send a message; return False if it has to wait."""
        try:
            secrets = self._means.secrets(channel)
        except BatchsyncError as error:
            if self._means.only_local:
                self._journal.end_alert(alert, sent=False)
                return True
            self._report(channel.name, error)
            return False
        if self._means.only_local and not is_local(channel, secrets):
            self._journal.end_alert(alert, sent=False)
            return True
        if not self._journal.claim_alert(alert, now, now + _CLAIM):
            return False
        try:
            send(channel, secrets, Message(**alert.content), now)
        except DeliveryError as error:
            wait = min(_RETRY * 2 ** min(alert.attempts, _DOUBLINGS), _RETRY_MAX)
            self._journal.postpone_alert(alert, now + wait)
            self._report(channel.name, error)
            return False
        self._journal.end_alert(alert, sent=True)
        self._failed.pop(channel.name, None)
        return True

    def _report(self, name: str, error: DeliveryError | BatchsyncError) -> None:
        """Report why a channel cannot be used, unless it is the same as the last time."""
        text = error.reason if isinstance(error, DeliveryError) else error.message
        hint = f"; {error.hint}" if error.hint else ""
        if self._failed.get(name) != text:
            self._failed[name] = text
            again = "" if name == "ping" else "; what waits is sent by the next command, or by serve"
            self._means.warn(f"alerts: {name}: {text}{hint}{again}")
