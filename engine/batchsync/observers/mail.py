"""E-mail of alerts by SMTP, with the standard library."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from batchsync.observers.delivery import SECONDS, DeliveryError, certificates

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.alert_channels import EmailChannel
    from batchsync.core.alert_text import Message
    from batchsync.observers.delivery import Secrets

#: Reasons by kind of error, the first that fits.
_REASONS: dict[type[Exception], str] = {
    smtplib.SMTPNotSupportedError: "the server does not offer what is needed: STARTTLS, or a login",
    smtplib.SMTPAuthenticationError: "the server refused the login",
    smtplib.SMTPRecipientsRefused: "the server refused all recipients",
    ssl.SSLError: "untrusted certificate, or no TLS",
    TimeoutError: f"no answer in {SECONDS:g} s",
}


def send(channel: EmailChannel, secrets: Secrets, message: Message, now: datetime) -> None:
    """Send a message by e-mail.

    Args:
        channel: The channel.
        secrets: Its user and password.
        message: The message.
        now: Date of the e-mail.

    Raises:
        DeliveryError: If the server did not accept it for a recipient.
    """
    context = certificates(channel.ca_bundle)
    failure = ""
    try:
        with _connected(channel, context) as server:
            if user := secrets.values.get("user"):
                server.login(user, secrets.values.get("password", ""))
            if refused := server.send_message(_email(channel, message, now)):
                failure = f"the server refused {len(refused)} of {len(channel.to)} recipients"
    except (smtplib.SMTPException, OSError, ValueError) as error:
        failure = _reason(error)
    if failure:
        raise DeliveryError(failure)


def check(channel: EmailChannel, secrets: Secrets) -> None:
    """Check whether the server can be logged in to as far as that is known here; nothing is sent.

    Args:
        channel: The channel.
        secrets: Its user and password, which are complete if they could be resolved.

    Raises:
        DeliveryError: If the certificates cannot be used.
    """
    del secrets
    certificates(channel.ca_bundle)


def _reason(error: Exception) -> str:
    """Return why an e-mail was not accepted, without any text of the server."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code}"
    return "the server cannot be reached, or does not speak SMTP"


def _connected(channel: EmailChannel, context: ssl.SSLContext) -> smtplib.SMTP:
    """Return the connection to the server, encrypted as the channel says."""
    if channel.tls == "implicit":
        return smtplib.SMTP_SSL(channel.host, channel.port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(channel.host, channel.port, timeout=SECONDS)
    if channel.tls == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _email(channel: EmailChannel, message: Message, now: datetime) -> EmailMessage:
    """Return the e-mail. A message that is repeated has the same Message-ID."""
    email = EmailMessage()
    email["Subject"] = " ".join(message.subject.split())
    email["From"] = channel.sender
    email["To"] = ", ".join(channel.to)
    email["Date"] = format_datetime(now)
    email["Message-ID"] = f"<{message.id}@{channel.sender.partition('@')[2]}>"
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(f"{message.subject}\n\n{message.body}\n")
    return email
