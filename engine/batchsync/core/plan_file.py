"""Content of a plan file: who planned what, and when. Pure values; `plan_moved` says whether they can be applied.

A plan file holds the plan of each job, the rows that it sends, and the state of exactly these keys when it was made.
`reconcile.plan_file` reads and writes the file around this content.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from batchsync.core.accounting import UnbalancedError
from batchsync.core.guards import AbsentAnswers, Budget, Limit
from batchsync.core.json_values import number, text
from batchsync.core.kept_forecast import forecast_from_dict, forecast_to_dict
from batchsync.core.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.forecast import Forecast

#: Version of the content of a plan file. A later version is refused by this one.
FORMAT = 1
#: Longest name of a user or host that is kept, in characters.
_NAME_MAX = 100
#: Digits of the digest of a plan file that name it in texts.
_SHORT = 12


class NewerFormatError(ValueError):
    """The content was written by a later release, in a format that this one does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who made a plan file: user, host, version of batchsync, and time, timezone-aware."""

    user: str
    host: str
    version: str
    at: datetime

    def __str__(self) -> str:
        """Return the author for texts, such as `made by ann on ci-7 at 2026-11-30 08:15 UTC`."""
        return f"made by {self.user} on {self.host} at {self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """A file of the source when the plan was made: its name, its size in bytes, and its hex SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSource:
    """What the source of a job was when the plan was made, for people; the rows are in the plan file.

    Attributes:
        title: Path, or title of a query, as in jobs.yaml.
        version: Snapshot, ETag or revision that the fetcher pinned; empty for local files.
        files: Its files, local or landed.
    """

    title: str
    version: str = ""
    files: tuple[PinnedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPlan:
    """The plan of one job in a plan file.

    Attributes:
        plan: The plan, with the guards that it exceeded when it was made.
        unguarded: The plan before guards and contract were judged, which they are again when it is applied.
        declared: Digest of the job as declared (`plan_moved.declared_digest`).
        sending: Digest of how its vendor takes batch files (`plan_moved.sending_digest`).
        approved: Whether it was approved when it was made.
        answers: Answers that it removes from the results of its job; None if it removes none there.
        in_flight: Number of open batches of the job.
        edited: Whether the job differed from that of its last run.
        budget: Budget of the job.
        personal: Whether keys are personal data; None: those that look like e-mail addresses.
        source: The source.
        partial: Which rows of its query were read, as column and lower bound; None if all were.
        expected: What sending was expected to cost; None if nothing is sent, or an older release made the file.
    """

    plan: Plan
    unguarded: Plan
    declared: str
    sending: str
    approved: bool = False
    answers: AbsentAnswers | None = None
    in_flight: int = 0
    edited: bool = False
    budget: Budget = field(default_factory=Budget)
    personal: bool | None = None
    source: PinnedSource = field(default_factory=lambda: PinnedSource(title=""))
    partial: tuple[str, str] | None = None
    expected: Forecast | None = None

    @property
    def job(self) -> str:
        """Name of the job."""
        return self.plan.job

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON-compatible dictionary."""
        return {
            "plan": self.plan.to_dict(),
            "unguarded": self.unguarded.to_dict(),
            "declared": self.declared,
            "sending": self.sending,
            "approved": self.approved,
            "answers": self.answers and asdict(self.answers),
            "in_flight": self.in_flight,
            "edited": self.edited,
            "budget": {name: asdict(getattr(self.budget, name)) for name in ("invalid", "rejected")},
            "personal": self.personal,
            "source": asdict(self.source),
            "partial": self.partial and list(self.partial),
            "expected": self.expected and forecast_to_dict(self.expected),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the plan that `to_dict` returned.

        Raises:
            ValueError: If members are missing or of another type.
        """
        source = values["source"]
        files = tuple(
            PinnedFile(name=text(item["name"]), size=number(item["size"]), sha256=text(item["sha256"]))
            for item in source["files"]
        )
        return cls(
            plan=_plan(values["plan"]),
            unguarded=_plan(values["unguarded"]),
            declared=text(values["declared"]),
            sending=text(values["sending"]),
            approved=bool(values["approved"]),
            answers=_answers(values["answers"]),
            in_flight=number(values["in_flight"]),
            edited=bool(values["edited"]),
            budget=Budget(**{name: _limit(values["budget"][name]) for name in ("invalid", "rejected")}),
            personal=None if values["personal"] is None else bool(values["personal"]),
            source=PinnedSource(title=text(source["title"]), version=text(source["version"]), files=files),
            partial=(text(values["partial"][0]), text(values["partial"][1])) if values["partial"] else None,
            expected=forecast_from_dict(values["expected"]) if values.get("expected") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """Content of a plan file.

    Attributes:
        author: Who made it.
        state: Id of the journal that it was made with; empty if nothing was run there yet.
        plans: The plans, in the order in which the jobs run.
        id: Hex SHA-256 of the file's manifest, which has the digest of each of its parts; empty before it is written.
    """

    author: Author
    state: str
    plans: tuple[PinnedPlan, ...]
    id: str = ""

    @property
    def short_id(self) -> str:
        """The first digits of the id, by which texts name the plan file."""
        return self.id[:_SHORT]

    @property
    def title(self) -> str:
        """Id and author, for texts and for the journal."""
        return f"plan file {self.short_id}, {self.author}"

    def to_dict(self) -> dict[str, Any]:
        """Return the content as a JSON-compatible dictionary."""
        author = {"user": self.author.user[:_NAME_MAX], "host": self.author.host[:_NAME_MAX]}
        at = self.author.at.astimezone(UTC).isoformat(timespec="microseconds")
        return {
            "format": FORMAT,
            "author": {**author, "version": self.author.version, "at": at},
            "state": self.state,
            "plans": [plan.to_dict() for plan in self.plans],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], digest: str) -> Self:
        """Return the content that `to_dict` returned.

        Args:
            values: The dictionary.
            digest: Id of the plan file.

        Raises:
            NewerFormatError: If a later release wrote it.
            ValueError: If members are missing or of another type, or a job occurs twice.
        """
        written = values.get("format")
        if isinstance(written, int) and written > FORMAT:
            message = f"it has format {written}, and this batchsync reads format {FORMAT}"
            raise NewerFormatError(message)
        if written != FORMAT:
            message = "its manifest names no format"
            raise ValueError(message)
        try:
            author = values["author"]
            at = datetime.fromisoformat(author["at"])
            found = cls(
                author=Author(
                    user=_name(author["user"]), host=_name(author["host"]), version=_name(author["version"]), at=at
                ),
                state=text(values["state"]),
                plans=tuple(PinnedPlan.from_dict(item) for item in values["plans"]),
                id=digest,
            )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            message = f"its manifest is incomplete ({type(error).__name__})"
            raise ValueError(message) from None
        jobs = {plan.job for plan in found.plans}
        same = all(
            (plan.plan.job, plan.plan.account_id, plan.plan.counts)
            == (plan.unguarded.job, plan.unguarded.account_id, plan.unguarded.counts)
            for plan in found.plans
        )
        if not jobs or len(jobs) < len(found.plans) or not same or at.tzinfo is None:
            message = "its manifest contradicts itself"
            raise ValueError(message)
        return found


def _plan(values: Mapping[str, Any]) -> Plan:
    """Return a plan whose members have their types, and whose counts balance.

    Raises:
        TypeError: If a member is of another type.
        ValueError: If the counts do not balance.
    """
    plan = Plan.from_dict(values)
    for name in (plan.job, plan.account_id, plan.spec_hash, plan.removal_hash, plan.changes_digest, *plan.baseline):
        text(name)
    for count in (plan.baseline_rows, plan.source_files, plan.incomparable, *plan.warnings.values()):
        number(count)
    for count in values["counts"].values():
        number(count)
    for breach in plan.breaches:
        text(breach.guard + breach.message)
    if plan.watermark is not None:
        text(plan.watermark)
    try:
        plan.counts.assert_balanced()
    except UnbalancedError:
        message = "the counts of a plan do not add up"
        raise ValueError(message) from None
    return plan


def _answers(values: Mapping[str, Any] | None) -> AbsentAnswers | None:
    if values is None:
        return None
    return AbsentAnswers(rows=number(values["rows"]), absent=number(values["absent"]), digest=text(values["digest"]))


def _limit(values: Mapping[str, Any]) -> Limit:
    count, percent = values["count"], values["percent"]
    if percent is not None and not isinstance(percent, int | float):
        message = f"{type(percent).__name__} instead of a percentage"
        raise TypeError(message)
    return Limit(count=None if count is None else number(count), percent=percent)


def _name(value: object) -> str:
    return text(value)[:_NAME_MAX]
