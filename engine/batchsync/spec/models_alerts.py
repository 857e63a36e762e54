"""Pydantic models of `alerts:` of jobs.yaml: channels, and what they receive."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from batchsync.core.alert_channels import LATE_AFTER
from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict

Transition = Literal["failing", "awaiting_approval", "needs_attention", "late", "rejects", "recovered"]
_PROXY = "HTTP proxy: http://host:port, with user and password only as references."
_CA_BUNDLE = "PEM file of the certificates to trust instead of the public ones."


class ChannelModel(Strict):
    """What a channel receives."""

    on: list[Transition] | None = Field(
        None,
        min_length=1,
        title="Transitions",
        description="Transitions that are sent; by default all. A recovery is sent if both `recovered` and the "
        "condition that ended are listed.",
        examples=[["failing", "needs_attention", "recovered"]],
    )
    jobs: list[types.Text] | None = Field(
        None,
        min_length=1,
        title="Jobs",
        description="Jobs of which alerts are sent, as selectors: names, patterns, tag:, connection:, vendor:. By "
        "default all. A job with `alerts:` names its channels itself.",
        examples=[["tag:nightly", "guests"]],
    )


class WebhookModel(ChannelModel):
    """Alerts by a webhook: Slack, Teams, or a server of your own."""

    model_config = ConfigDict(title="Webhook")

    webhook: Literal["slack", "teams", "json"] = Field(
        title="Webhook",
        description="Form of the message: slack (incoming webhooks), teams (an adaptive card for a workflow), or json.",
        examples=["slack"],
    )
    url: types.Text = Field(
        title="URL",
        description="Reference to the URL, https or http on this machine: who knows it can send messages.",
        examples=["${SLACK_WEBHOOK}", "${file:/run/secrets/webhook}"],
    )
    secret: types.Text | None = Field(
        None,
        title="Secret",
        description="Reference to a secret by which requests are signed (header webhook-signature, as Standard "
        "Webhooks describes it).",
        examples=["${WEBHOOK_SECRET}"],
    )
    proxy: types.Text | None = Field(
        None, title="Proxy", description=_PROXY, examples=["http://proxy.example.com:3128"]
    )
    ca_bundle: types.Text | None = Field(None, title="CA bundle", description=_CA_BUNDLE, examples=["certs/proxy.pem"])


class EmailModel(ChannelModel):
    """Alerts by e-mail."""

    model_config = ConfigDict(title="E-mail")

    email: list[types.Text] = Field(
        min_length=1,
        title="E-mail",
        description="Addresses of the recipients.",
        examples=[["ops@example.com"]],
    )
    sender: types.Text = Field(title="Sender", description="Address of the sender.", examples=["batchsync@example.com"])
    host: types.Text = Field(title="Host", description="The SMTP server.", examples=["smtp.example.com"])
    port: types.Port | None = Field(
        None,
        title="Port",
        description="Its port; by default 587, with tls: implicit 465, with tls: none 25.",
        examples=[587],
    )
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls",
        title="TLS",
        description="starttls (refused if the server does not offer it), implicit, or none, which has no login.",
        examples=["implicit"],
    )
    user: types.Text | None = Field(
        None, title="User", description="Reference to the user name of the login.", examples=["${SMTP_USER}"]
    )
    password: types.Text | None = Field(
        None, title="Password", description="Reference to its password.", examples=["${SMTP_PASSWORD}"]
    )
    ca_bundle: types.Text | None = Field(None, title="CA bundle", description=_CA_BUNDLE, examples=["certs/mail.pem"])


class AppriseModel(ChannelModel):
    """Alerts by a service that the package apprise sends to."""

    model_config = ConfigDict(title="Apprise")

    apprise: list[types.Text] = Field(
        min_length=1,
        title="Apprise",
        description="References to URLs of apprise, such as those of PagerDuty, Opsgenie, Telegram or ntfy.",
        examples=[["${PAGER_URL}"]],
    )


def kind_of_channel(value: Any) -> str:
    """Return the tag of the model of a channel."""
    keys = value if isinstance(value, dict) else {}
    return next((kind for kind in ("email", "apprise") if kind in keys), "webhook")


class AlertsModel(Strict):
    """Channels of alerts, and the ping of a dead-man check."""

    model_config = ConfigDict(title="Channels of alerts")

    channels: dict[
        str,
        Annotated[
            Annotated[WebhookModel, Tag("webhook")]
            | Annotated[EmailModel, Tag("email")]
            | Annotated[AppriseModel, Tag("apprise")],
            Discriminator(kind_of_channel),
        ],
    ] = Field(
        {},
        title="Channels",
        description="Channels by name: a webhook, e-mail, or services of apprise.",
        examples=[{"ops": {"webhook": "slack", "url": "${SLACK_WEBHOOK}"}}],
    )
    late_after: types.Duration = Field(
        f"{int(LATE_AFTER.total_seconds() // 60)}m",
        validate_default=True,
        title="Late after",
        description="Time after a tick from which on a job is late if no run of it has begun: 15m by default.",
        examples=["30m"],
    )
    ping: types.Text | None = Field(
        None,
        title="Ping",
        description="Reference to the URL of a check that reports when nothing pings it any more, such as of "
        "healthchecks.io: `serve` pings while it works, other commands when they begin (/start) and end (/fail).",
        examples=["${HEALTHCHECK_URL}"],
    )
    proxy: types.Text | None = Field(
        None, title="Proxy", description=f"{_PROXY} For the ping.", examples=["http://proxy.example.com:3128"]
    )
