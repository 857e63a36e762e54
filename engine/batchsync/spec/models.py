"""The shape of jobs.yaml: one strict model for each of its blocks. The JSON Schema for editors is made from them.

It does not know vendors, nor what a record may hold; `compile_connection` and `compile_job` do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema

from lading.spec import words as w  # noqa: TC001 - pydantic reads annotations while it runs
from lading.spec.models_source import (
    ConnectionModel,
    DuplicatesModel,
    JoinModel,
    SourceModel,
    Strict,
    word_or_map,
)

#: A `record:` is read from the file itself, with places, by `compile_record`; `schema_out` says what it may hold.
Record = Annotated[Any, PlainValidator(lambda value: value), WithJsonSchema({"type": "object", "minProperties": 1})]


class TargetModel(Strict):
    """Where records go. What stands beside `connection` is what the vendor spec asks for."""

    model_config = ConfigDict(
        title="Target", extra="allow", json_schema_extra={"additionalProperties": {"type": "string"}}
    )
    __pydantic_extra__: dict[str, w.Text]

    connection: w.Text = Field(title="Connection", description="One of `connections`.", examples=["sitecore"])


class SinceModel(Strict):
    """Rows that are new since the last run."""

    model_config = ConfigDict(title="Send since")

    since: w.Text = Field(
        title="Column",
        description="Numbers, or dates that begin with the year. A row below the greatest value up to which the target "
        "holds every row is unchanged if the target holds its key; every other row is compared with what it holds.",
        examples=["updated_at"],
    )


class RemovalModel(Strict):
    """What to send for a key that left the source."""

    model_config = ConfigDict(title="Removal")

    mode: w.Text = Field(title="Mode", description="A mode of the vendor that removes.", examples=["delete"])
    record: Record = Field(
        title="Record",
        description="A record built from the key alone, of all of its columns.",
        examples=[{"identifiers": [{"provider": "CRM", "id": "=CustomerKey"}]}],
    )


class ResultsModel(Strict):
    """Where the answers of a lookup go."""

    model_config = ConfigDict(title="Results")

    path: w.Text = Field(
        title="File",
        description="A file ending in .csv, .parquet, .jsonl, .db or .sqlite.",
        examples=["out/checks.csv"],
    )
    format: Literal["csv", "parquet", "jsonl", "sqlite"] | None = Field(
        None, title="Format", description="From the file's ending when it is not given.", examples=["csv"]
    )
    table: w.Text | None = Field(None, title="Table", description="The table of a SQLite file.", examples=["checks"])


class ScheduleModel(Strict):
    """When the job runs by itself: a cron line in a time zone, or a fixed interval from midnight UTC."""

    model_config = ConfigDict(title="Schedule")

    cron: w.Text | None = Field(None, title="Cron line", description="Five fields.", examples=["0 2 * * *"])
    timezone: w.Text | None = Field(
        None, title="Time zone", description="Of the cron line; UTC when not given.", examples=["Pacific/Auckland"]
    )
    every: w.Duration | None = Field(
        None, title="Interval", description="A fixed interval instead of a cron line.", examples=["15m"]
    )


class GuardsModel(Strict):
    """Limits that hold a run until somebody approves it."""

    model_config = ConfigDict(title="Guards")

    max_remove: w.LimitWord | None = Field(
        None,
        title="Most removals",
        description="A number, a share of what the target holds, or the greater of both. 10 or 5% where a job removes.",
        examples=["10 or 5%", "5%", 100],
    )
    max_change: w.LimitWord | None = Field(
        None, title="Most changes", description="A number, or a share of what the target holds.", examples=["5%", 100]
    )
    min_rows: int | None = Field(
        None,
        ge=0,
        le=10**15,
        title="Fewest rows",
        description="A source with fewer rows is not believed. Where a job removes and this is not given, a source "
        "without rows removes nothing by itself; 0 lets it.",
        examples=[1000],
    )
    removals_after_edit: Literal["hold", "send"] | None = Field(
        None,
        title="Removals after an edit",
        description="hold (the default) or send what the first run removes after an edit of path, join, format, key or "
        "on_removed of the job.",
        examples=["hold"],
    )


class BudgetModel(Strict):
    """How many records may fail before the run does (exit 4)."""

    model_config = ConfigDict(title="Budget")

    invalid: w.LimitWord | None = Field(
        None, title="Invalid", description="Records that we refuse: a number or a share.", examples=["2%", 3]
    )
    rejected: w.LimitWord | None = Field(
        None, title="Rejected", description="Records that the vendor refuses: a number or a share.", examples=["2%", 3]
    )


class JobModel(Strict):
    """One job: rows of a source become records of a target."""

    model_config = ConfigDict(title="Job")

    source: SourceModel = Field(
        title="Source",
        description="Where rows come from.",
        examples=[{"path": "data/customers.csv", "key": "CustomerKey"}],
    )
    target: TargetModel = Field(
        title="Target", description="Where records go.", examples=[{"connection": "sitecore", "schema": "guest"}]
    )
    mode: w.Text = Field(
        title="Mode",
        description="What the vendor does with a record; lookup brings answers back.",
        examples=["upsert", "lookup"],
    )
    record: Record = Field(
        title="Record",
        description="What a row becomes. A leading = is an expression over its columns; == text is that text.",
        examples=[{"guestType": "customer", "email": "=lower(EmailAddress)"}],
    )
    send: Annotated[
        Annotated[Literal["all", "changed"], Tag("word")] | Annotated[SinceModel, Tag("map")],
        Discriminator(word_or_map),
    ] = Field(
        "changed",
        title="Send",
        description="Which rows: all, changed (against the baseline), or {since: column}.",
        examples=["changed", {"since": "updated_at"}],
    )
    on_removed: Annotated[
        Annotated[w.Text, Tag("word")] | Annotated[RemovalModel, Tag("map")], Discriminator(word_or_map)
    ] = Field(
        "ignore",
        title="On removed",
        description="What to do with keys that left the source: ignore, or a mode of the vendor that removes.",
        examples=["ignore", "delete"],
    )
    results: ResultsModel | None = Field(
        None,
        title="Results",
        description="Where the answers of a lookup go: the key, then the vendor's columns.",
        examples=[{"path": "out/checks.csv"}],
    )
    schedule: ScheduleModel | None = Field(
        None,
        title="Schedule",
        description="When the job runs by itself.",
        examples=[{"cron": "0 2 * * *", "timezone": "Pacific/Auckland"}, {"every": "15m"}],
    )
    guards: GuardsModel = Field(
        GuardsModel(),
        title="Guards",
        description="Limits that hold a run until somebody approves it.",
        examples=[{"max_remove": "5%", "max_change": "30%", "min_rows": 1000}],
    )
    budget: BudgetModel = Field(
        BudgetModel(),
        title="Budget",
        description="How many records may fail before the run does; none when not given.",
        examples=[{"invalid": "2%", "rejected": 1}],
    )
    depends_on: list[w.Text] = Field(
        [],
        title="Depends on",
        description="Jobs whose newest run has to be settled first.",
        examples=[["vehicle-checks"]],
    )
    compression: Literal["fast", "smaller"] = Field(
        "fast",
        title="Compression",
        description="What matters more in batch files: that they are made fast, or that they are smaller.",
        examples=["smaller"],
    )


_JOBS = {
    "guests": {
        "source": {"path": "data/customers.csv", "key": "CustomerKey"},
        "target": {"connection": "sitecore", "schema": "guest"},
        "mode": "upsert",
        "record": {"email": "=lower(EmailAddress)"},
    }
}


class DocumentModel(Strict):
    """A whole jobs.yaml."""

    model_config = ConfigDict(title="jobs.yaml of lading")

    version: w.Version = Field(title="Version", description="The version of this format: 1.", examples=[1])
    connections: dict[str, ConnectionModel] = Field(
        title="Connections",
        description="Vendor accounts by name.",
        examples=[
            {"cars": {"vendor": "motorweb-bdp", "credentials": {"client_id": "${ID}", "client_secret": "${SECRET}"}}}
        ],
    )
    jobs: dict[str, JobModel] = Field(title="Jobs", description="Jobs by name.", examples=[_JOBS])
    threads: Annotated[int, Field(ge=1, le=256, strict=True)] | None = Field(
        None,
        title="Threads",
        description="How many threads prepare records. All cores when not given; LADING_THREADS wins.",
        examples=[4],
    )
    memory: Literal["small", "normal"] = Field(
        "normal",
        title="Memory",
        description="small prepares with one thread and little memory; the files are the same. LADING_MEMORY wins.",
        examples=["small"],
    )


#: Which model stands at which path, to list the keys that are known there. `*` is any name or index.
MODELS: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    (("source",), SourceModel),
    (("source", "join", "*"), JoinModel),
    (("source", "duplicates"), DuplicatesModel),
    (("target",), TargetModel),
    (("send",), SinceModel),
    (("on_removed",), RemovalModel),
    (("results",), ResultsModel),
    (("schedule",), ScheduleModel),
    (("guards",), GuardsModel),
    (("budget",), BudgetModel),
)
