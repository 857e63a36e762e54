"""Alerts as `status` shows them: conditions that hold, and channels to which messages wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import escape_controls, iso, moment, pluralize

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.alert_conditions import AlertCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlert:
    """A condition that was alerted, and holds.

    Attributes:
        job: Name of the job; empty for the jobs file.
        condition: The condition.
        since: When it began.
    """

    job: str
    condition: AlertCondition
    since: datetime

    def text(self) -> str:
        """Return the condition as a sentence."""
        return f"{escape_controls(self.job) or 'jobs file'} {self.condition.words} since {moment(self.since)}"

    def data(self) -> dict[str, object]:
        """Return the condition as a JSON-compatible dictionary."""
        return {"job": self.job or None, "condition": self.condition.value, "since": iso(self.since)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingChannel:
    """A channel to which messages wait.

    Attributes:
        channel: Name of the channel.
        messages: How many wait.
        since: Time of the oldest one.
        attempts: How often the message that was tried most was tried; 0 if none was.
    """

    channel: str
    messages: int
    since: datetime
    attempts: int

    def text(self) -> str:
        """Return what waits, and what to do, as a sentence."""
        count = pluralize(self.messages, "message")
        tried = f" after {pluralize(self.attempts, 'attempt')}" if self.attempts else ""
        return (
            f"alerts: {count} to channel {escape_controls(self.channel)} not sent since {moment(self.since)}{tried}: "
            f"`batchsync alerts test {escape_controls(self.channel)}` says why"
        )

    def data(self) -> dict[str, object]:
        """Return the channel as a JSON-compatible dictionary."""
        return {
            "channel": self.channel,
            "messages": self.messages,
            "since": iso(self.since),
            "attempts": self.attempts,
        }
