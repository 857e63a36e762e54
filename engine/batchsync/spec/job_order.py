"""Topological order of jobs by their dependencies, and resolution of sources that are results of other jobs."""

from __future__ import annotations

import heapq
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.spec.field_types import is_source_format
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from batchsync.core.job import Job, Results
    from batchsync.spec.interpolate import TypedEntry
    from batchsync.spec.problems import Problems

#: Names of a cycle that are shown.
_SHOWN_MAX = 10


class Ordering:
    """Dependency order of the jobs of one file."""

    def __init__(self, entries: tuple[TypedEntry, ...], jobs: dict[str, Job], problems: Problems) -> None:
        """Keep the jobs.

        Args:
            entries: All jobs as written.
            jobs: Successfully compiled jobs by name.
            problems: Receives the problems.
        """
        self._entries = {entry.key: entry for entry in entries}
        self._jobs = jobs
        self._problems = problems

    def ordered(self) -> tuple[Job, ...]:
        """Return the jobs, dependencies first and otherwise in file order, with complete `depends_on`."""
        needs = {name: self._needs(entry) for name, entry in self._entries.items()}
        resolved = {name: self._dependencies(job, needs[name]) for name, job in self._jobs.items()}
        self._check_results(resolved)
        return tuple(resolved[item] for item in self._sorted(needs) if item in resolved)

    def _needs(self, entry: TypedEntry) -> list[str]:
        """Return the existing jobs that a job depends on, read from the file: the job itself may not have compiled."""
        if not isinstance(entry.value, TypedMap):
            return []
        written = entry.value.get("depends_on")
        source = entry.value.get("source")
        names = [*written.items] if isinstance(written, TypedSeq) else []
        source_job = source.get("job") if isinstance(source, TypedMap) else None
        found: dict[str, None] = {}
        for item in [*names, *([source_job] if source_job is not None else [])]:
            if not isinstance(item, Value) or not isinstance(item.value, str):
                continue
            if item.value in self._entries:
                found[item.value] = None
            else:
                self._report_unknown(item.value, item.start)
        return list(found)

    def _dependencies(self, job: Job, needs: list[str]) -> Job:
        """Return the job with its dependencies and with the path of the results it reads."""
        if job.source.job is not None:
            job = self._with_results_path(job, job.source.job)
        return replace(job, depends_on=tuple(needs))

    def _with_results_path(self, job: Job, name: str) -> Job:
        at = self._place(job.name, "source", "job")
        other = self._jobs.get(name)
        if other is None:
            return job  # reported elsewhere
        if other.results is None:
            self._problems.add("source_job", at, f"job {quoted(name)} has no results", "a job of mode lookup")
            return job
        if other.results.storage is not None:
            expected = f"connection: {other.results.storage.name}, path: {other.results.path} and depends_on: [{name}]"
            self._problems.add("source_job", at, f"the results of job {quoted(name)} are in a storage", expected)
            return job
        if not is_source_format(other.results.format):
            self._problems.add(
                "source_job",
                at,
                f"the results of job {quoted(name)} are a SQLite table",
                "results in .csv, .parquet or .jsonl",
            )
            return job
        return replace(job, source=replace(job.source, path=other.results.path, format=other.results.format))

    def _check_results(self, jobs: dict[str, Job]) -> None:
        """Report results that would overwrite each other or a source file of their job."""
        owners: dict[tuple[str, str, str], str] = {}
        for job in jobs.values():
            if job.results is None:
                continue
            at = self._place(job.name, "results", "path")
            storage = job.results.storage.name if job.results.storage else ""
            first = owners.setdefault((storage, job.results.path, job.results.table or ""), job.name)
            if first != job.name:
                self._problems.add(
                    "results", at, f"job {quoted(first)} writes its results to the same place", "a path of its own"
                )
            if _overwrites_source(job, job.results):
                self._problems.add("results", at, "results would overwrite a source file", "a path of its own")

    def _sorted(self, needs: dict[str, list[str]]) -> list[str]:
        """Return the names in dependency order (Kahn's algorithm); jobs of a cycle are reported and left out."""
        rank = {name: number for number, name in enumerate(needs)}
        waiting = {name: set(of) for name, of in needs.items()}
        users: dict[str, list[str]] = {name: [] for name in needs}
        for name, of in waiting.items():
            for item in of:
                users[item].append(name)
        ready = [(rank[name], name) for name, of in waiting.items() if not of]
        heapq.heapify(ready)
        order: list[str] = []
        while ready:
            _, name = heapq.heappop(ready)
            order.append(name)
            for user in users[name]:
                waiting[user].discard(name)
                if not waiting[user]:
                    heapq.heappush(ready, (rank[user], user))
        done = set(order)
        blocked = [name for name in needs if name not in done]
        self._report_cycles(blocked, needs)
        return order

    def _report_cycles(self, blocked: list[str], needs: dict[str, list[str]]) -> None:
        """Report each cycle among the blocked jobs once."""
        remaining = set(blocked)
        seen: set[str] = set()
        for start in blocked:
            path: list[str] = []
            name = start
            while name not in seen:
                seen.add(name)
                path.append(name)
                name = next(need for need in needs[name] if need in remaining)
            if name in path:
                cycle = path[path.index(name) :]
                shown = " -> ".join([*cycle[:_SHOWN_MAX], *(["..."] if len(cycle) > _SHOWN_MAX else []), name])
                self._problems.add(
                    "circle",
                    self._entries[cycle[0]].start,
                    f"dependency cycle: {shown}",
                    "no cycle: remove one of these dependencies",
                )

    def _report_unknown(self, name: str, at: int) -> None:
        known = list(self._entries)
        self._problems.add(
            "unknown_job", at, f"unknown job {quoted(name)}", one_of(known), self._problems.suggest(name, known)
        )

    def _place(self, job: str, block: str, key: str) -> int:
        entry = self._entries[job]
        parent = entry.value.get(block) if isinstance(entry.value, TypedMap) else None
        found = parent.get(key) if isinstance(parent, TypedMap) else None
        return found.start if found is not None else entry.start


def _overwrites_source(job: Job, results: Results) -> bool:
    """Return whether results are written where the job reads a source file."""
    stored = job.source.stored
    if results.storage is not None:
        return stored is not None and stored.storage == results.storage and stored.path == results.path
    own = () if stored is not None else (job.source.path,)
    reads = {*own, *(join.path for join in job.source.joins)}
    return any(os.path.normpath(Path(job.source.folder, read)) == results.path for read in reads)
