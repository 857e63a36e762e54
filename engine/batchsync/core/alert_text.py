"""Texts of alerts: subject and body for people, and members for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.alerts import Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to a channel.

    Attributes:
        id: Id of the transition; a message that is repeated has the same.
        transition: Name of the transition, or `test`.
        condition: Name of the condition that began or ended.
        job: Name of the job; empty for the jobs file.
        environment: Chosen environment of jobs.yaml; empty if there is none.
        subject: The message in one line.
        reason: Why, as a part of a sentence; may be empty.
        command: Command that shows more; may be empty.
        since: When the condition began, in ISO 8601.
        at: When the transition was noticed, in ISO 8601.
    """

    id: str
    transition: str
    condition: str
    job: str
    environment: str
    subject: str
    reason: str
    command: str
    since: str
    at: str

    @property
    def body(self) -> str:
        """The message in several lines, without the subject."""
        lines = [
            f"reason: {self.reason}" if self.reason else "",
            f"since: {self.since}",
            f"environment: {self.environment}" if self.environment else "",
            f"next: {self.command}" if self.command else "",
        ]
        return "\n".join(line for line in lines if line)

    def to_dict(self) -> dict[str, str]:
        """Return the members by name, as a JSON-compatible dictionary."""
        return asdict(self)


def message_of(alert: Alert, environment: str) -> Message:
    """Return the message of an alert.

    Args:
        alert: The alert.
        environment: Chosen environment of jobs.yaml; empty if there is none.
    """
    subject = alert.job or "jobs file"
    where = f" ({environment})" if environment else ""
    words = f"has recovered, and no longer {alert.condition.words}" if alert.recovered else alert.condition.words
    return Message(
        id=alert.id,
        transition=alert.transition,
        condition=alert.condition.value,
        job=alert.job,
        environment=environment,
        subject=f"batchsync: {subject} {words}{where}",
        reason=alert.reason,
        command=alert.command,
        since=_iso(alert.since),
        at=_iso(alert.at),
    )


def trial_message(channel: str, environment: str, now: datetime) -> Message:
    """Return the message that `batchsync alerts test` sends to a channel."""
    return Message(
        id=f"test.{channel}.{now:%Y%m%dT%H%M%S.%fZ}",
        transition="test",
        condition="test",
        job="",
        environment=environment,
        subject=f"batchsync: test of the alert channel {channel}",
        reason="batchsync alerts test",
        command="",
        since=_iso(now),
        at=_iso(now),
    )


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
