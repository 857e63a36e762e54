"""Puts jobs into an order in which each follows what it depends on, and ties a job to the results it reads.

It does not know what jobs do.
"""

from __future__ import annotations

import heapq
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading.spec.interpolate import TypedMap, TypedSeq, Value
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from lading.core.job import Job
    from lading.spec.interpolate import TypedEntry
    from lading.spec.problems import Problems

#: Names of a circle that fit a line.
_SHOWN_MAX = 10
_READABLE = frozenset({"csv", "parquet", "jsonl"})


class Ordering:
    """The jobs of one file. `entries` are all of them as written, `jobs` those that could be compiled, by name."""

    def __init__(self, entries: tuple[TypedEntry, ...], jobs: dict[str, Job], problems: Problems) -> None:
        """Keep the jobs and where problems go."""
        self._entries = {one.key: one for one in entries}
        self._jobs = jobs
        self._problems = problems

    def ordered(self) -> tuple[Job, ...]:
        """Return the jobs, dependencies first and in file order otherwise, each with its whole `depends_on`."""
        needs = {name: self._needs(entry) for name, entry in self._entries.items()}
        tied = {name: self._tied(job, needs[name]) for name, job in self._jobs.items()}
        self._check_results(tied)
        return tuple(tied[one] for one in self._sorted(needs) if one in tied)

    def _needs(self, entry: TypedEntry) -> list[str]:
        """Return the jobs that must come before, as far as they exist. The file is asked: other parts may be wrong."""
        if not isinstance(entry.value, TypedMap):
            return []
        given = entry.value.get("depends_on")
        source = entry.value.get("source")
        wanted = [*given.items] if isinstance(given, TypedSeq) else []
        reads = source.get("job") if isinstance(source, TypedMap) else None
        found: dict[str, None] = {}
        for one in [*wanted, *([reads] if reads is not None else [])]:
            if not isinstance(one, Value) or not isinstance(one.value, str):
                continue
            if one.value in self._entries:
                found[one.value] = None
            else:
                self._unknown(one.value, one.start)
        return list(found)

    def _tied(self, job: Job, needs: list[str]) -> Job:
        """Return the job with its dependencies, and with the path of the results it reads."""
        if job.source.job is not None:
            job = self._reading(job, job.source.job)
        return replace(job, depends_on=tuple(needs))

    def _reading(self, job: Job, name: str) -> Job:
        at = self._place(job.name, "source", "job")
        other = self._jobs.get(name)
        if other is None:
            return job  # it does not exist, or has problems of its own
        if other.results is None:
            self._problems.add("source_job", at, f"job {quoted(name)} has no results", "a job of mode lookup")
            return job
        if other.results.format not in _READABLE:
            self._problems.add(
                "source_job",
                at,
                f"the results of job {quoted(name)} are a SQLite table",
                "results in .csv, .parquet or .jsonl",
            )
            return job
        return replace(job, source=replace(job.source, path=other.results.path, format=other.results.format))

    def _check_results(self, jobs: dict[str, Job]) -> None:
        """Complain about results that would be written over each other, or over what their job reads."""
        taken: dict[tuple[str, str], str] = {}
        for job in jobs.values():
            if job.results is None:
                continue
            at = self._place(job.name, "results", "path")
            first = taken.setdefault((job.results.path, job.results.table or ""), job.name)
            if first != job.name:
                self._problems.add(
                    "results", at, f"job {quoted(first)} writes its results here too", "a place of its own"
                )
            reads = {job.source.path, *(one.path for one in job.source.joins)}
            if any(os.path.normpath(Path(job.source.folder, one)) == job.results.path for one in reads):
                self._problems.add("results", at, "the results would be written over the source", "a place of its own")

    def _sorted(self, needs: dict[str, list[str]]) -> list[str]:
        """Return the names in order; those in a circle are complained about and left out."""
        rank = {name: number for number, name in enumerate(needs)}
        waiting = {name: set(of) for name, of in needs.items()}
        users: dict[str, list[str]] = {name: [] for name in needs}
        for name, of in waiting.items():
            for one in of:
                users[one].append(name)
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
        stuck = [name for name in needs if name not in done]
        self._circles(stuck, needs)
        return order

    def _circles(self, stuck: list[str], needs: dict[str, list[str]]) -> None:
        """Complain once about each circle among jobs that wait for ever."""
        left = set(stuck)
        seen: set[str] = set()
        for start in stuck:
            path: list[str] = []
            name = start
            while name not in seen:
                seen.add(name)
                path.append(name)
                name = next(one for one in needs[name] if one in left)
            if name in path:
                circle = path[path.index(name) :]
                shown = " -> ".join([*circle[:_SHOWN_MAX], *(["..."] if len(circle) > _SHOWN_MAX else []), name])
                self._problems.add(
                    "circle",
                    self._entries[circle[0]].start,
                    f"jobs wait for each other: {shown}",
                    "an order: take one of these out",
                )

    def _unknown(self, name: str, at: int) -> None:
        known = list(self._entries)
        self._problems.add(
            "unknown_job", at, f"there is no job {quoted(name)}", one_of(known), self._problems.suggest(name, known)
        )

    def _place(self, job: str, block: str, key: str) -> int:
        entry = self._entries[job]
        around = entry.value.get(block) if isinstance(entry.value, TypedMap) else None
        found = around.get(key) if isinstance(around, TypedMap) else None
        return found.start if found is not None else entry.start
