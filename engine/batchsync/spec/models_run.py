"""Pydantic models of the blocks of a job that say when it runs, and within which limits."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict


class ScheduleModel(Strict):
    """When `batchsync serve` runs the job: a cron line in a time zone, or a fixed interval from midnight UTC."""

    model_config = ConfigDict(title="Schedule")

    cron: types.Text | None = Field(
        None, title="Cron line", description="Cron expression of five fields.", examples=["0 2 * * *"]
    )
    timezone: types.Text | None = Field(
        None,
        title="Time zone",
        description="IANA time zone of the cron line, the window and the quiet hours; UTC by default.",
        examples=["Pacific/Auckland"],
    )
    every: types.Duration | None = Field(
        None,
        title="Interval",
        description="Fixed interval from midnight UTC, instead of a cron line.",
        examples=["15m"],
    )
    overlap: Literal["allow", "queue", "skip"] = Field(
        "allow",
        title="Overlap",
        description="What becomes of a tick while a run of the job is in flight: allow (a run begins in addition, rows "
        "in flight are deferred), queue (the tick waits until it has ended), or skip (the tick is dropped).",
        examples=["queue"],
    )
    catch_up: Literal["last", "all", "none"] = Field(
        "last",
        title="Catch up",
        description="Which ticks are run that were missed while no process served the job: the last, all one after "
        "another (at most 1,000), or none.",
        examples=["none"],
    )
    jitter: types.Duration | None = Field(
        None,
        title="Jitter",
        description="Runs begin up to so long after their tick, by a hash of job and tick; shorter than the interval.",
        examples=["5m"],
    )
    window: types.Spans = Field(
        (),
        title="Window",
        description="Days and times of day in which runs begin. A tick outside is dropped; one that could not be run "
        "in time waits until the window opens again.",
        examples=["mon-fri 08:00-18:00", ["22:00-06:00", "sat,sun"]],
    )
    quiet: types.Spans = Field(
        (),
        title="Quiet hours",
        description="Days and times of day in which `serve` begins no run and sends no batch; what was sent before is "
        "followed. A tick waits until they end.",
        examples=["mon-fri 08:00-18:00"],
    )


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
