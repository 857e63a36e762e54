"""Pydantic models of the blocks of a job that limit what is sent: guards, budget and suppression list."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types  # noqa: TC001 - pydantic evaluates annotations at run time
from batchsync.spec.models_source import DbtModel, Strict


class GuardsModel(Strict):
    """Limits beyond which a run awaits approval."""

    model_config = ConfigDict(title="Guards")

    max_remove: types.LimitText | None = Field(
        None,
        title="Maximum removals",
        description="A number, a percentage of the baseline, or the greater of both. 10 or 5% where a job removes.",
        examples=["10 or 5%", "5%", 100],
    )
    max_change: types.LimitText | None = Field(
        None, title="Maximum changes", description="A number, or a percentage of the baseline.", examples=["5%", 100]
    )
    max_invalid: types.LimitText | None = Field(
        None,
        title="Maximum invalid records",
        description="A number, or a percentage of the selected records. Beyond it nothing is sent before approval; "
        "`budget` judges after the run.",
        examples=["1%", 20],
    )
    min_rows: int | None = Field(
        None,
        ge=0,
        le=10**15,
        title="Minimum rows",
        description="Minimum number of rows of the source. Where a job removes, removing all keys because the source "
        "has no rows awaits approval by default; 0 allows it.",
        examples=[1000],
    )
    removals_after_edit: Literal["hold", "send"] | None = Field(
        None,
        title="Removals after an edit",
        description="Removals of the first run after an edit of path, join, format, key or on_removed: hold (the "
        "default; they await approval) or send.",
        examples=["hold"],
    )
    removals_after_lost_file: Literal["hold", "send"] | None = Field(
        None,
        title="Removals after a lost file",
        description="Removals of a run whose source has fewer files than in the last run: hold (the default; they "
        "await approval) or send.",
        examples=["hold"],
    )


class BudgetModel(Strict):
    """How many records may fail before the run does (exit code 4)."""

    model_config = ConfigDict(title="Budget")

    invalid: types.LimitText | None = Field(
        None,
        title="Invalid",
        description="Invalid records (refused by batchsync): a number or a percentage.",
        examples=["2%", 3],
    )
    rejected: types.LimitText | None = Field(
        None,
        title="Rejected",
        description="Records rejected by the vendor: a number or a percentage.",
        examples=["2%", 3],
    )


class SuppressModel(Strict):
    """Suppression list: rows of persons on it are not sent."""

    model_config = ConfigDict(title="Suppress")

    path: types.Text | None = Field(
        None,
        title="File",
        description="File, relative to jobs.yaml, or in the storage of `connection`.",
        examples=["data/opt-outs.csv"],
    )
    connection: types.Text | None = Field(
        None,
        title="Connection",
        description="Database of `connections` that `query` or `table` is read from, or storage of `path`.",
        examples=["warehouse"],
    )
    query: types.Text | None = Field(
        None,
        title="Query",
        description="A statement, or a file ending in .sql.",
        examples=["SELECT email FROM opt_outs"],
    )
    table: types.Text | None = Field(None, title="Table", description="Table or view.", examples=["crm.opt_outs"])
    dbt: DbtModel | None = Field(
        None,
        title="dbt",
        description="A model of dbt, read from the database of `connection`.",
        examples=[{"manifest": "target/manifest.json", "model": "opt_outs"}],
    )
    delta: types.Text | None = Field(
        None, title="Delta table", description="Path of a Delta table.", examples=["lake/opt_outs"]
    )
    sheet: types.Text | None = Field(
        None, title="Sheet", description="Sheet of a workbook; by default its only one.", examples=["Opt-outs"]
    )
    format: types.SourceFormat | None = Field(
        None, title="Format", description="Format of the file; by default from its suffix.", examples=["csv"]
    )
    delimiter: types.Delimiter | None = Field(
        None, title="Delimiter", description="Separator of CSV fields.", examples=[";"]
    )
    encoding: types.Encoding | None = Field(
        None, title="Encoding", description="Encoding of a CSV file; UTF-8 by default.", examples=["latin-1"]
    )
    key: types.Text = Field(
        title="Key", description="Column of the list with the values to suppress.", examples=["email"]
    )
    matches: types.Text | None = Field(
        None,
        title="Matches",
        description="Column of the source of the job that is looked up in the list; by default of the same name.",
        examples=["EmailAddress"],
    )
    then: Literal["keep", "remove"] = Field(
        "keep",
        title="Then",
        description="What becomes of a suppressed person whom the target holds: keep, or remove with the mode of "
        "`on_removed`; guards apply.",
        examples=["remove"],
    )
