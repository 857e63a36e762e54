"""Pydantic models of jobs.yaml about the state folder: what is kept there, and for how long."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from batchsync.core.retention import DEFAULT_RETENTION, period_text
from batchsync.spec import field_types as types
from batchsync.spec.models_source import Strict

Period = types.Period


class BaselineModel(Strict):
    """What is kept of each record that the target holds."""

    model_config = ConfigDict(title="Baseline")

    keep: Literal["fingerprints", "members", "records"] = Field(
        "fingerprints",
        title="Keep",
        description="fingerprints (the default); members: a hash of 4 bytes per member as well, so that `plan` shows "
        "the members that change; records: the record itself as well, so that `plan` shows old and new values. "
        "docs/reviewing.md states the cost.",
        examples=["members"],
    )


class BackupModel(Strict):
    """Where the state folder is backed up."""

    model_config = ConfigDict(title="Backup")

    path: types.Text = Field(
        title="Folder",
        description="Folder, relative to jobs.yaml, or in the storage of `connection`.",
        examples=["../backups/batchsync", "backups/batchsync"],
    )
    connection: types.Text | None = Field(
        None,
        title="Connection",
        description="Object storage of `connections` that has the folder, instead of this machine.",
        examples=["lake"],
    )


class StateModel(Strict):
    """The state folder: what each target is known to hold."""

    model_config = ConfigDict(title="State")

    required: bool = Field(
        default=False,
        title="Required",
        description="Whether a missing state is an error; `batchsync state init` begins one. Otherwise a missing state "
        "is begun by the first run, and every row is sent.",
        examples=[True],
    )
    backup: BackupModel | None = Field(
        None,
        title="Backup",
        description="Back up the state folder after each settlement; `batchsync state restore` restores it. A backup "
        "that fails stops no sync: `batchsync status` reports it.",
        examples=[{"path": "../backups/batchsync"}, {"connection": "lake", "path": "backups/batchsync"}],
    )


class RetentionModel(Strict):
    """How long what is no longer needed is kept in the state folder; pruned at the end of a run."""

    model_config = ConfigDict(title="Retention")

    rejects: Period = Field(
        period_text(DEFAULT_RETENTION.rejects),
        validate_default=True,
        title="Rejects",
        description="Rejected, invalid and superseded rows with their keys, from their run: 90d by default.",
        examples=["30d", "forever"],
    )
    runs: Period = Field(
        period_text(DEFAULT_RETENTION.runs),
        validate_default=True,
        title="Runs",
        description="Runs with their batches, events, ticks and approvals, from their end: 400d by default. The newest "
        "run of each job, open batches and used idempotency keys are always kept.",
        examples=["730d", "forever"],
    )
    batch_files: Period = Field(
        period_text(DEFAULT_RETENTION.batch_files),
        validate_default=True,
        title="Batch files",
        description="Batch files with their records, and row manifests, from the delivery: 0d by default.",
        examples=["0d", "7d"],
    )
