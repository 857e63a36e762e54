"""Pydantic model of the accounts of vendors in the `connections:` block of jobs.yaml."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict


class AccountLimitsModel(Strict):
    """What an account may use. A day is any 24 hours."""

    model_config = ConfigDict(title="Limits of an account")

    calls_per_minute: int | None = Field(
        None, ge=1, le=10**15, title="Calls a minute", description="API calls in any minute.", examples=[60]
    )
    calls_per_day: int | None = Field(
        None, ge=1, le=10**15, title="Calls a day", description="API calls in any 24 hours.", examples=[10_000]
    )
    rows_per_day: int | None = Field(
        None, ge=1, le=10**15, title="Rows a day", description="Rows sent in any 24 hours.", examples=[100_000]
    )
    bytes_per_day: int | None = Field(
        None,
        ge=1,
        le=10**15,
        title="Bytes a day",
        description="Bytes of batch files sent in any 24 hours.",
        examples=[10**9],
    )


class ConnectionModel(Strict):
    """A vendor account."""

    model_config = ConfigDict(title="Connection")

    vendor: types.Text = Field(
        title="Vendor spec",
        description="Name of a bundled or installed vendor, or a folder with a vendor.yaml. Further keys of the "
        "connection are the settings of the vendor, which `batchsync vendors NAME` lists.",
        examples=["sitecore-cdp", "motorweb-bdp"],
    )
    base_url: types.Text | None = Field(
        None,
        title="Base URL",
        description="URL of the vendor's API: https at a host of the vendor; http only on this machine.",
        examples=["https://api-engage-eu.sitecorecloud.io", "${SITECORE_URL:-https://api-engage-eu.sitecorecloud.io}"],
    )
    credentials: dict[str, str] = Field(
        title="Credentials",
        description="Credentials of the vendor spec, each a reference: ${NAME} or ${file:/run/secrets/name}.",
        examples=[{"client_key": "${SITECORE_CLIENT_KEY}", "api_token": "${file:/run/secrets/api_token}"}],
    )
    ca_bundle: types.Text | None = Field(
        None,
        title="CA bundle",
        description="PEM file of the certificates to trust instead of the public ones.",
        examples=["certs/proxy.pem"],
    )
    proxy: types.Text | None = Field(
        None,
        title="Proxy",
        description="HTTP proxy of all requests of the connection: http://host:port, with user and password only as "
        "references. HTTPS_PROXY and NO_PROXY are not used unless they are named here.",
        examples=["http://proxy.example.com:3128", "http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.com:3128"],
    )
    storage_hosts: list[types.Text] | None = Field(
        None,
        min_length=1,
        title="Storage hosts",
        description="Hosts, or hosts and buckets, of upload and download URLs; * is a part of a name. An entry within "
        "the hosts of the vendor spec pins the storage: no other is used. Without one, the storage that the vendor "
        "names first is remembered, and another one refused.",
        examples=[["storage.googleapis.com/acme-batches-*"], ["files.vendor.example"]],
    )
    poll_every: types.Duration | None = Field(
        None,
        title="Poll interval",
        description="Interval between polls of a batch, instead of the vendor spec's.",
        examples=["30s", "15m"],
    )
    deadline: types.Duration | None = Field(
        None, title="Deadline", description="Maximum time from upload to verdict of a batch.", examples=["2d"]
    )
    retry_for: types.Duration | None = Field(
        None,
        title="Retries",
        description="How long failing calls are repeated before a batch needs attention, instead of the deadline.",
        examples=["36h"],
    )
    in_flight: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Batches in flight",
        description="Maximum number of batches that wait for a verdict.",
        examples=[1],
    )
    limits: AccountLimitsModel = Field(
        AccountLimitsModel(),
        title="Limits of the account",
        description="What this account may use, where that is less than the vendor spec says.",
        examples=[{"calls_per_minute": 60, "rows_per_day": 100_000}],
    )
    renamed_from: types.FormerNames | None = Field(
        None,
        title="Renamed from",
        description="Former name or names of the connection. Baselines belong to the account and target of a job, "
        "whatever its connection is called; this documents a rename and reserves the name.",
        examples=["cdp"],
    )
