"""The shape of the blocks of jobs.yaml that say where rows come from and whose account they go to.

It does not know jobs; `models` does.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from lading.spec import words as w  # noqa: TC001 - pydantic reads annotations while it runs


def word_or_map(value: Any) -> str:
    """Return which form of a field that is a word or a mapping was written."""
    return "map" if isinstance(value, dict | BaseModel) else "word"


class Strict(BaseModel):
    """Unknown keys are errors, types are not guessed, and no error repeats what was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ConnectionModel(Strict):
    """A vendor account."""

    model_config = ConfigDict(title="Connection")

    vendor: w.Text = Field(
        title="Vendor spec",
        description="A vendor in the box, or a folder with a vendor.yaml.",
        examples=["sitecore-cdp", "motorweb-bdp"],
    )
    base_url: w.Text | None = Field(
        None,
        title="Base URL",
        description="Where the vendor's API is: https, at a host of the vendor (http to this machine only).",
        examples=["https://api-engage-eu.sitecorecloud.io", "${SITECORE_URL:-https://api-engage-eu.sitecorecloud.io}"],
    )
    credentials: dict[str, str] = Field(
        title="Credentials",
        description="The names the vendor spec asks for, each one reference: ${NAME} or ${file:/run/secrets/name}.",
        examples=[{"client_key": "${SITECORE_CLIENT_KEY}", "api_token": "${file:/run/secrets/api_token}"}],
    )
    ca_bundle: w.Text | None = Field(
        None,
        title="CA bundle",
        description="A file with the certificates to trust instead of the public ones.",
        examples=["certs/proxy.pem"],
    )
    poll_every: w.Duration | None = Field(
        None,
        title="Poll interval",
        description="How often to ask for a batch, instead of the vendor's own interval.",
        examples=["30s", "15m"],
    )
    deadline: w.Duration | None = Field(
        None, title="Deadline", description="How long a batch may take from upload to verdict.", examples=["2d"]
    )
    in_flight: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Batches in flight",
        description="How many batches may wait for a verdict.",
        examples=[1],
    )


class JoinModel(Strict):
    """Columns of another file, looked up many-to-one."""

    model_config = ConfigDict(title="Join")

    path: w.Text = Field(title="File", description="A file beside jobs.yaml.", examples=["data/segments.csv"])
    on: w.Pairs = Field(
        title="Columns to compare",
        description="A column, a list of columns, or {ours: theirs}.",
        examples=["segment", ["country", "segment"], {"segment": "id"}],
    )


class DuplicatesModel(Strict):
    """Of the rows with one key, the one with the greatest value."""

    model_config = ConfigDict(title="Duplicates by")

    by: w.Text = Field(
        title="Column",
        description="The row with the greatest value here wins: numbers, dates that begin with the year, or words.",
        examples=["updated_at"],
    )


class SourceModel(Strict):
    """Where rows come from: a file or a glob, or the results of another job."""

    model_config = ConfigDict(title="Source")

    path: w.Text | None = Field(
        None, title="File", description="A file or a glob, relative to jobs.yaml.", examples=["data/customers.csv"]
    )
    job: w.Text | None = Field(
        None, title="Job", description="A lookup job whose results are the rows.", examples=["vehicle-checks"]
    )
    key: w.Columns = Field(
        title="Key",
        description="What tells rows apart: a column, a list of columns, or an expression (=...).",
        examples=["CustomerKey", ["plate", "state"], "=lower(trim(email))"],
    )
    format: Literal["csv", "parquet", "jsonl"] | None = Field(
        None, title="Format", description="From the file's ending when it is not given.", examples=["csv"]
    )
    delimiter: w.Delimiter | None = Field(
        None, title="Delimiter", description="What separates the columns of a CSV file.", examples=[";"]
    )
    encoding: w.Encoding | None = Field(
        None,
        title="Encoding",
        description="How the text of a CSV or JSON file is encoded.",
        examples=["utf-8", "cp1252"],
    )
    nulls: list[str] = Field(
        [],
        title="Nulls",
        description="Texts that mean that there is no value.",
        examples=[["", "NULL", "N/A"]],
        max_length=100,
    )
    join: list[JoinModel] = Field(
        [],
        title="Joins",
        description="Columns of other files.",
        examples=[[{"path": "data/a.csv", "on": "id"}]],
        max_length=20,
    )
    duplicates: Annotated[
        Annotated[Literal["fail", "first", "last"], Tag("word")] | Annotated[DuplicatesModel, Tag("map")],
        Discriminator(word_or_map),
    ] = Field(
        "fail",
        title="Duplicates",
        description="What to do with rows that share a key: fail, first, last, or {by: column}.",
        examples=["fail", {"by": "updated_at"}],
    )
