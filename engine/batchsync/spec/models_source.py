"""Pydantic models of the `source:` and `connections:` blocks of jobs.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from batchsync.spec import field_types as types  # noqa: TC001 - pydantic evaluates annotations at run time


def value_or_map(value: Any) -> str:
    """Return the tag of the written alternative of a field that takes an enumerated value or a mapping."""
    return "map" if isinstance(value, dict | BaseModel) else "value"


class Strict(BaseModel):
    """Base model: no unknown keys, no type coercion, no input values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)


class ConnectionModel(Strict):
    """A vendor account."""

    model_config = ConfigDict(title="Connection")

    vendor: types.Text = Field(
        title="Vendor spec",
        description="Name of a bundled or installed vendor, or a folder with a vendor.yaml.",
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
    renamed_from: types.FormerNames | None = Field(
        None,
        title="Renamed from",
        description="Former name or names of the connection. Baselines belong to the account and target of a job, "
        "whatever its connection is called; this documents a rename and reserves the name.",
        examples=["cdp"],
    )


class JoinModel(Strict):
    """Columns of another file, joined many-to-one."""

    model_config = ConfigDict(title="Join")

    path: types.Text = Field(title="File", description="File, relative to jobs.yaml.", examples=["data/segments.csv"])
    on: types.Pairs = Field(
        title="Join columns",
        description="A column, a list of columns, or {source column: other column}.",
        examples=["segment", ["country", "segment"], {"segment": "id"}],
    )


class DuplicatesModel(Strict):
    """Of rows with the same key, use the row with the greatest value of a column."""

    model_config = ConfigDict(title="Duplicates by")

    by: types.Text = Field(
        title="Column",
        description="The row with the greatest value is used: numbers, dates that begin with the year, or strings.",
        examples=["updated_at"],
    )


class SourceModel(Strict):
    """Where rows are read from: a file or a glob, or the results of another job."""

    model_config = ConfigDict(title="Source")

    path: types.Text | None = Field(
        None, title="File", description="File or glob, relative to jobs.yaml.", examples=["data/customers.csv"]
    )
    job: types.Text | None = Field(
        None, title="Job", description="Lookup job whose results are the rows.", examples=["vehicle-checks"]
    )
    key: types.Columns = Field(
        title="Key",
        description="What identifies a row: a column, a list of columns, or an expression (=...).",
        examples=["CustomerKey", ["plate", "state"], "=lower(trim(email))"],
    )
    format: types.SourceFormat | None = Field(
        None, title="Format", description="Format of the file; by default from its suffix.", examples=["csv"]
    )
    delimiter: types.Delimiter | None = Field(
        None, title="Delimiter", description="Column separator of a CSV file.", examples=[";"]
    )
    encoding: types.Encoding | None = Field(
        None,
        title="Encoding",
        description="Text encoding of a CSV or JSON file.",
        examples=["utf-8", "cp1252"],
    )
    nulls: list[str] = Field(
        [],
        title="Nulls",
        description="Strings that mean no value.",
        examples=[["", "NULL", "N/A"]],
        max_length=100,
    )
    join: list[JoinModel] = Field(
        [],
        title="Joins",
        description="Files whose columns are joined to the rows.",
        examples=[[{"path": "data/a.csv", "on": "id"}]],
        max_length=20,
    )
    duplicates: Annotated[
        Annotated[Literal["fail", "first", "last"], Tag("value")] | Annotated[DuplicatesModel, Tag("map")],
        Discriminator(value_or_map),
    ] = Field(
        "fail",
        title="Duplicates",
        description="Rows with the same key: fail, or use the first, the last, or the greatest {by: column}.",
        examples=["fail", {"by": "updated_at"}],
    )
