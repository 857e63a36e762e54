"""Pydantic models of the `source:` block of jobs.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from batchsync.spec import field_types as types

_SHEET = "Sheet of an Excel workbook; by default the only visible one."
_QUERY = (
    "SELECT statement in the SQL of the database, or a file with one, ending in .sql and relative to jobs.yaml. It is "
    "run once per run; ${...} is not substituted."
)
_TABLE = "Table or view of the database whose rows and columns are read, with its schema if need be."
_DELTA = "Folder of a Delta table: relative to jobs.yaml, or in the storage of `connection`."
_VERSION = "Version of the Delta table; by default the newest."
_DBT = "Model of dbt whose table or view is read, instead of `table`."
_RANGE = "Cells of the sheet to read, the header first; by default all with values. A3:F has no last row."


def value_or_map(value: Any) -> str:
    """Return the tag of the written alternative of a field that takes an enumerated value or a mapping."""
    return "map" if isinstance(value, dict | BaseModel) else "value"


class Strict(BaseModel):
    """Base model: no unknown keys, no type coercion, no input values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)


class DbtModel(Strict):
    """A relation that dbt builds, found in the manifest of its project."""

    model_config = ConfigDict(title="dbt")

    manifest: types.Text = Field(
        title="Manifest",
        description="manifest.json of the project, which `dbt compile` writes, relative to jobs.yaml.",
        examples=["target/manifest.json"],
    )
    model: types.Text = Field(
        title="Model",
        description="Model, seed or snapshot; source.table of a source; model.v2 of a version. The name of its package "
        "comes before it where several have that name.",
        examples=["mart_guests", "crm.customers"],
    )


class JoinModel(Strict):
    """Columns of other rows, of a file or a database, joined many-to-one."""

    model_config = ConfigDict(title="Join")

    path: types.Text | None = Field(
        None, title="File", description="File, relative to jobs.yaml.", examples=["data/segments.csv"]
    )
    connection: types.Text | None = Field(
        None,
        title="Connection",
        description="Database of `connections` that `query`, `table` or `dbt` is read from, or storage of `path` or "
        "`delta`, once per run.",
        examples=["warehouse"],
    )
    query: types.Text | None = Field(None, title="Query", description=_QUERY, examples=["queries/segments.sql"])
    table: types.Text | None = Field(None, title="Table", description=_TABLE, examples=["mart.segments"])
    dbt: DbtModel | None = Field(
        None, title="dbt", description=_DBT, examples=[{"manifest": "target/manifest.json", "model": "segments"}]
    )
    delta: types.Text | None = Field(None, title="Delta table", description=_DELTA, examples=["segments"])
    version: int | None = Field(None, ge=0, title="Version", description=_VERSION, examples=[12])
    on: types.Pairs = Field(
        title="Join columns",
        description="A column, a list of columns, or {source column: other column}.",
        examples=["segment", ["country", "segment"], {"segment": "id"}],
    )
    sheet: types.Text | None = Field(None, title="Sheet", description=_SHEET, examples=["Segments"])
    range: types.CellRange | None = Field(None, title="Range", description=_RANGE, examples=["A3:F500"])


class DuplicatesModel(Strict):
    """Of rows with the same key, use the row with the greatest value of a column."""

    model_config = ConfigDict(title="Duplicates by")

    by: types.Text = Field(
        title="Column",
        description="The row with the greatest value is used: numbers, dates that begin with the year, or strings.",
        examples=["updated_at"],
    )


class ReadSinceModel(Strict):
    """Reading only new rows of a database."""

    model_config = ConfigDict(title="Read since")

    column: types.Text = Field(
        title="Column",
        description="Column of the query whose values grow with each change: numbers, dates or timestamps. Rows from "
        "its greatest delivered value on are read, and rows without a value.",
        examples=["updated_at"],
    )
    lag: types.Lag = Field(
        timedelta(0),
        title="Lag",
        description="How far below that value reading begins, for transactions that end late: a duration, or a whole "
        "number for a column of numbers.",
        examples=["15m", 1000],
    )
    full_every: types.Duration = Field(
        timedelta(days=1),
        title="Full read",
        description="After which time a run reads all rows again.",
        examples=["1d", "7d"],
    )


class FreshnessModel(Strict):
    """How old the newest value of a column may be."""

    model_config = ConfigDict(title="Freshness")

    column: types.Text = Field(
        title="Column",
        description="Timestamps, dates, or text that begins with the year; its greatest value is the age of the "
        "source. Times without a zone are in UTC, and a date is its first moment.",
        examples=["updated_at"],
    )
    max_age: types.Duration = Field(
        title="Maximum age", description="How long ago the greatest value may be.", examples=["26h"]
    )


class ColumnModel(Strict):
    """How many rows may have no value in a column."""

    model_config = ConfigDict(title="Source column")

    not_null: bool | None = Field(
        None, title="Not null", description="Whether every row must have a value.", examples=[True]
    )
    max_null: types.LimitText | None = Field(
        None,
        title="Maximum nulls",
        description="Rows without a value: a number, a percentage of the selected rows, or the greater of both.",
        examples=["1%", "10 or 1%"],
    )


def names_or_rules(value: Any) -> str:
    """Return the tag of the written alternative of `columns`. No column can have it as its name in an error's place."""
    return "batchsync:rules" if isinstance(value, dict) else "batchsync:names"


class SourceModel(Strict):
    """Where rows are read from: a file or a glob, here or in storage, a table, or the results of another job."""

    model_config = ConfigDict(title="Source")

    path: types.Text | None = Field(
        None,
        title="File",
        description="File or glob, relative to jobs.yaml, or in the storage of `connection`; - is the standard input "
        "of `sync` and `plan`.",
        examples=["data/customers.csv"],
    )
    job: types.Text | None = Field(
        None, title="Job", description="Lookup job whose results are the rows.", examples=["vehicle-checks"]
    )
    connection: types.Text | None = Field(
        None,
        title="Connection",
        description="Database of `connections` that `query`, `table` or `dbt` is read from, or storage of `path` or "
        "`delta`.",
        examples=["warehouse"],
    )
    delta: types.Text | None = Field(
        None,
        title="Delta table",
        description=_DELTA,
        examples=["orders", "lake/orders"],
    )
    version: int | None = Field(None, ge=0, title="Version", description=_VERSION, examples=[12])
    query: types.Text | None = Field(
        None,
        title="Query",
        description=_QUERY,
        examples=["queries/guests.sql", "SELECT id, name FROM guests"],
    )
    table: types.Text | None = Field(None, title="Table", description=_TABLE, examples=["guests", "mart.guests"])
    dbt: DbtModel | None = Field(
        None, title="dbt", description=_DBT, examples=[{"manifest": "target/manifest.json", "model": "mart_guests"}]
    )
    since: ReadSinceModel | None = Field(
        None,
        title="Read since",
        description="Read only new rows of a database on a server, in a job that removes nothing. By default all rows "
        "are read.",
        examples=[{"column": "updated_at", "lag": "15m", "full_every": "1d"}],
    )
    key: types.Columns = Field(
        title="Key",
        description="What identifies a row: a column, a list of columns, or an expression (=...).",
        examples=["CustomerKey", ["plate", "state"], "=lower(trim(email))"],
    )
    personal: bool | None = Field(
        None,
        title="Personal keys",
        description="Whether keys are personal data, which is masked in Markdown and in the logs of CI. By default, "
        "those are that look like e-mail addresses.",
        examples=[True],
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
    header: bool | None = Field(
        None,
        title="Header",
        description="Whether the first line of a CSV file names its columns (default); if not, `columns` does.",
        examples=[False],
    )
    columns: (
        Annotated[
            Annotated[types.ColumnNames, Tag("batchsync:names")]
            | Annotated[
                Annotated[dict[str, ColumnModel], Field(min_length=1, max_length=types.FILE_COLUMNS_MAX)],
                Tag("batchsync:rules"),
            ],
            Discriminator(names_or_rules),
        ]
        | None
    ) = Field(
        None,
        title="Columns",
        description="How many rows may have no value, by column: {email: {not_null: true}, phone: {max_null: 1%}}. "
        "For a CSV file without header, a list of the names of all its columns, in its order, or that mapping with all "
        "of them.",
        examples=[{"email": {"not_null": True}, "phone": {"max_null": "1%"}}, ["id", "name", "email"]],
    )
    freshness: FreshnessModel | None = Field(
        None,
        title="Freshness",
        description="How old the source may be, by the greatest value of a column.",
        examples=[{"column": "updated_at", "max_age": "26h"}],
    )
    on_breach: Literal["hold", "fail"] | None = Field(
        None,
        title="On breach",
        description="What happens if the source does not meet `freshness` or `columns`: hold (the default; the run "
        "awaits approval) or fail (the run stops with exit code 3). Nothing is sent in either case.",
        examples=["fail"],
    )
    skip_rows: int | None = Field(
        None,
        ge=0,
        le=1000,
        title="Skipped lines",
        description="Number of lines of a CSV file before its header or first row.",
        examples=[3],
    )
    comment: types.Comment | None = Field(
        None, title="Comment", description="Begin of lines of a CSV file that are no rows.", examples=["#"]
    )
    quote: types.Quote | None = Field(
        None,
        title="Quotation mark",
        description='Quotation mark of a CSV file, " by default; an empty string if quotation marks are data.',
        examples=["'"],
    )
    escape: types.Escape | None = Field(
        None,
        title="Escape",
        description="Character of a CSV file before a quotation mark, a delimiter or itself that is data. "
        "Doubled quotation marks are read as well.",
        examples=["\\"],
    )
    sheet: types.Text | None = Field(None, title="Sheet", description=_SHEET, examples=["Guests"])
    range: types.CellRange | None = Field(None, title="Range", description=_RANGE, examples=["A3:F500", "B2:F"])
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
        description="Files, tables and queries, of any source, whose columns are joined to the rows.",
        examples=[[{"path": "data/a.csv", "on": "id"}]],
        max_length=20,
    )
    where: types.Text | None = Field(
        None,
        title="Condition",
        description="SQL condition over the columns of the source and its joins. Rows for which it is not true are not "
        "selected; with removals their keys count as gone.",
        examples=["status = 'active'"],
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
