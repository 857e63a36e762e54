"""Selection of jobs by selectors: names, globs, `tag:`, `connection:`, `vendor:`, `state:`, `result:` and dependencies.

Several words are a union, terms separated by commas an intersection. `+term` adds what the jobs of a term depend on,
`term+` what depends on them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from batchsync.core.guards import within_budget
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import RunState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from batchsync.core.accounting import Settlement
    from batchsync.core.guards import Budget
    from batchsync.core.job import Job
    from batchsync.core.run import Run

_GLOB = frozenset("*?[")


class JobState(StrEnum):
    """Relation of a declared job to its last run."""

    #: it never ran
    NEW = "new"
    #: what it sends, its source or its removals were edited since
    MODIFIED = "modified"
    UNCHANGED = "unchanged"


class RunResult(StrEnum):
    """Results of the last run of a job. A run may have several."""

    #: over budget, preparation aborted, awaiting approval, or attention
    FAILED = "failed"
    #: the vendor rejected rows
    REJECTED = "rejected"
    #: a batch needs attention, or has unknown outcomes to be resolved
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """Facts of a job that selectors refer to.

    Attributes:
        name: Name of the job.
        former_names: Its former names, which select it, too.
        tags: Its tags.
        connection: Name of its connection.
        vendor: Name of the vendor.
        depends_on: Names of the jobs that it depends on.
        suspended: Whether it is suspended.
        state: Its relation to its last run; None if the journal was not read.
        results: Results of its last run.
    """

    name: str
    former_names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    connection: str = ""
    vendor: str = ""
    depends_on: tuple[str, ...] = ()
    suspended: bool = False
    state: JobState | None = None
    results: frozenset[RunResult] = frozenset()


@dataclass(frozen=True, slots=True)
class Selection:
    """Selected jobs in the order of the deployment, and those of them that were selected by their exact names."""

    names: tuple[str, ...]
    named: frozenset[str] = frozenset()


class SelectorError(Exception):
    """A selector is invalid or matches nothing.

    Attributes:
        message: What is wrong.
        word: What was written, to find the name that was meant.
        known: What could be written instead.
        kind: Plural noun of `known`, such as `jobs`.
    """

    def __init__(self, message: str, *, word: str = "", known: Iterable[str] = (), kind: str = "") -> None:
        """Store the parts of the error."""
        super().__init__(message)
        self.message, self.word, self.known, self.kind = message, word, tuple(known), kind


class UnknownJobError(SelectorError):
    """A selector is the name of no job."""


#: Plural noun of the values of a method, for messages; `state` and `result` have fixed values.
METHODS: Mapping[str, str] = {
    "tag": "tags",
    "connection": "connections",
    "vendor": "vendors",
    "state": "states",
    "result": "results",
}
_FIXED: Mapping[str, tuple[str, ...]] = {
    "state": (JobState.NEW.value, JobState.MODIFIED.value),
    "result": tuple(item.value for item in RunResult),
}


def needs_journal(words: Iterable[str]) -> bool:
    """Return whether a selector refers to runs, so that the journal must be read."""
    methods = {_body(term).partition(":")[0] for word in words for term in word.split(",") if ":" in term}
    return not methods.isdisjoint(_FIXED)


def select(words: Sequence[str], jobs: Sequence[JobFacts], exclude: Sequence[str] = ()) -> Selection:
    """Return the jobs that selectors select.

    Args:
        words: Selectors; empty selects all jobs.
        jobs: Facts of all jobs, in the order of the deployment.
        exclude: Selectors of jobs to leave out.

    Returns:
        The selected jobs. At least one, unless there are no words and no jobs.

    Raises:
        SelectorError: If a selector is invalid or matches no job, or all selected jobs are excluded.
    """
    graph = _Graph(jobs)
    chosen = {name for word in words for name in graph.matching(word)} if words else set(graph.by_name)
    left_out = {name for word in exclude for name in graph.matching(word)}
    if left_out and chosen <= left_out:
        raise SelectorError("every selected job is excluded", known=sorted(chosen), kind="selected jobs")
    names = tuple(job.name for job in jobs if job.name in chosen - left_out)
    named = {name for word in words for name in graph.exact(word)}
    return Selection(names, frozenset(named.intersection(names)))


class _Graph:
    """Jobs with their dependencies in both directions."""

    def __init__(self, jobs: Sequence[JobFacts]) -> None:
        self.by_name = {job.name: job for job in jobs}
        self._formers = {former: job.name for job in jobs for former in job.former_names}
        self._needs = {job.name: job.depends_on for job in jobs}
        self._users: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            for need in job.depends_on:
                self._users[need].append(job.name)

    def exact(self, word: str) -> set[str]:
        """Return the job that a word names exactly; empty if the word is another selector."""
        name = self._formers.get(word, word)
        return {name} if name in self.by_name else set()

    def matching(self, word: str) -> set[str]:
        """Return the jobs that match all terms of a word.

        Raises:
            SelectorError: If a term is invalid or matches no job, or no job matches all terms.
        """
        terms = word.split(",")
        if not all(map(_body, terms)):
            message = f'invalid selector "{word}"' if word else "empty selector"
            raise SelectorError(f"{message}: a term is missing", known=self.by_name, kind="jobs")
        found = [self._term(term) for term in terms]
        common = set.intersection(*found)
        if not common:
            listed = "; ".join(f"{term}: {', '.join(sorted(names))}" for term, names in zip(terms, found, strict=True))
            message = f'no job matches all terms of "{word}" ({listed}); a blank instead of a comma selects each'
            raise SelectorError(message, known=self.by_name, kind="jobs")
        return common

    def _term(self, term: str) -> set[str]:
        """Return the jobs of one term, with what they depend on and what depends on them."""
        found = self._matching_body(_body(term))
        upstream = self._reachable(found, self._needs) if term.startswith("+") else set()
        downstream = self._reachable(found, self._users) if term.endswith("+") else set()
        return found | upstream | downstream

    def _matching_body(self, body: str) -> set[str]:
        method, sign, value = body.partition(":")
        if not sign:
            return self._by_name(body)
        if method not in METHODS:
            raise SelectorError(
                f'unknown selector method "{method}" in "{body}"',
                word=method,
                known=METHODS,
                kind="selector methods",
            )
        known = _FIXED.get(method) or sorted({item for job in self.by_name.values() for item in _values(job, method)})
        found = {job.name for job in self.by_name.values() if _has(_values(job, method), value)}
        if not found:
            is_unknown = method not in _FIXED or value not in known
            raise SelectorError(
                f'"{body}" matches no job', word=value if is_unknown else "", known=known, kind=METHODS[method]
            )
        return found

    def _by_name(self, name: str) -> set[str]:
        if found := self.exact(name):
            return found
        if _GLOB.isdisjoint(name):
            raise UnknownJobError(f'unknown job "{name}"', word=name, known=self.by_name, kind="jobs")
        found = {job for job in self.by_name if fnmatchcase(job, name)}
        if not found:
            raise SelectorError(f'"{name}" matches no job', word=name.strip("*?"), known=self.by_name, kind="jobs")
        return found

    @staticmethod
    def _reachable(start: Collection[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
        """Return all jobs that are reached from some jobs, these not included unless reached."""
        found: set[str] = set()
        waiting = list(start)
        while waiting:
            for name in edges.get(waiting.pop(), ()):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return found


def _body(term: str) -> str:
    """Return a term without its signs of dependencies."""
    return term.removeprefix("+").removesuffix("+")


def _values(job: JobFacts, method: str) -> Collection[str]:
    match method:
        case "tag":
            return job.tags
        case "connection":
            return {job.connection} - {""}
        case "vendor":
            return {job.vendor} - {""}
        case "state":
            return {str(job.state)} if job.state is not None else set()
        case _:
            return {str(item) for item in job.results}


def _has(values: Collection[str], wanted: str) -> bool:
    return any(fnmatchcase(item, wanted) for item in values)


def state_since(job: Job, last: Run | None) -> JobState:
    """Return whether a job is new, or was edited since its last run.

    What it sends, how its source is read, and its removals count; schedule, guards, budget and tags do not.

    Args:
        job: The job as declared.
        last: Its last run, under any of its names; None if there was none.
    """
    if last is None:
        return JobState.NEW
    is_edited = last.spec_hash != job.spec_hash or bool(last.removal_hash and last.removal_hash != job.removal_hash)
    return JobState.MODIFIED if is_edited else JobState.UNCHANGED


def results_of(run: Run, settlement: Settlement, budget: Budget, *, attention: bool) -> frozenset[RunResult]:
    """Return the results of the last run of a job.

    Args:
        run: The run.
        settlement: Its equation.
        budget: Budget of the job.
        attention: Whether a batch of the job needs attention, or has unknown outcomes to be resolved.
    """
    over_budget = not within_budget(settlement.outcomes, budget, selected=settlement.selected)
    failed = over_budget or run.state is RunState.AWAITING_APPROVAL or bool(run.counts.unstaged) or attention
    found = {
        RunResult.FAILED: failed,
        RunResult.REJECTED: settlement.outcomes[RowOutcome.REJECTED] > 0,
        RunResult.ATTENTION: attention,
    }
    return frozenset(result for result, applies in found.items() if applies)
