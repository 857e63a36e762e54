"""Pydantic model of the suppression list of a job."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types
from batchsync.spec.models_source import DbtModel, Strict


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
