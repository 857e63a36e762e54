"""The contents of jobs.yaml as frozen values, compiled by `spec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.alert_channels import AlertSettings
from batchsync.core.executor_choice import ExecutorChoice
from batchsync.core.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.backup import BackupTarget
    from batchsync.core.connection import Connection
    from batchsync.core.job import Job
    from batchsync.core.mapping_test import MappingTest
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.core.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Resource limits of preparation; they do not affect what is sent.

    `threads` None: one for each core, or a single thread with `memory` small. `memory` is small or normal.
    `executor` is where tasks run; `threads` limits threads of this process only.
    """

    threads: int | None = None
    memory: str = "normal"
    executor: ExecutorChoice = field(default_factory=ExecutorChoice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contents of jobs.yaml: connections, databases and storages by name, and jobs in dependency order.

    `state_required`: a missing state is an error. `substituted`: what environment variables filled in, with the
    reference that messages show instead. `unchecked`: what placeholders stand in for, and is not checked. `retention`:
    how long what is no longer needed is kept. `tests`: tests of the mapping by job, for jobs that have any.
    `scenarios`: runs against mocks. `backup`: where the state folder is backed up after each settlement; None for
    nowhere. `alerts`: where alerts are sent.
    """

    file: str
    connections: Mapping[str, Connection]
    jobs: tuple[Job, ...]
    resources: Resources = field(default_factory=Resources)
    state_required: bool = False
    substituted: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    unchecked: tuple[str, ...] = ()
    retention: Retention = field(default_factory=Retention)
    databases: Mapping[str, Database] = field(default_factory=dict)
    storages: Mapping[str, Storage] = field(default_factory=dict)
    tests: Mapping[str, tuple[MappingTest, ...]] = field(default_factory=dict, repr=False)
    scenarios: tuple[Scenario, ...] = ()
    backup: BackupTarget | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)

    @property
    def names(self) -> frozenset[str]:
        """The names of all jobs, former names included."""
        return frozenset(name for job in self.jobs for name in job.all_names)
