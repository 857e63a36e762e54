"""Plan of a run: what a comparison found, the guards that it exceeds, and the run that carries it out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import RunId
from batchsync.core.contract import ContractCounts, approvable_digest, contract_breaches
from batchsync.core.guards import AbsentAnswers, Breach, breaches, still_exceeded
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import Run, RunState, removal_causes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchsync.core.guards import Guards
    from batchsync.core.job import Job

#: Version of the serialised form of a plan.
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run of a job would send, as one value from the comparison to the run.

    Equal input gives equal plans, on any machine: a plan contains no time, no path and no row.

    Attributes:
        job: Name of the job.
        account_id: Id of the account and target.
        spec_hash: Hash of the job's spec.
        removal_hash: Hash of the job's removal settings, or that of the last plan if removals are not known.
        baseline: Names of the segments of the baseline, oldest first. They are derived from content.
        baseline_rows: Number of records that the target holds.
        counts: Counts of the comparison, in records.
        changes_digest: Hex digest, equal exactly if the same changes would be sent to the same account, under the same
            spec, from the same baseline. An approval refers to it. If the contract of the source is broken, it also
            depends on how, and on the last run.
        watermark: Greatest `since` value of the source, if the job has one.
        warnings: Number of records per warning.
        removals_known: False if removed keys cannot be determined: the source has rows without a key.
        source_files: Number of files of the source, without joined files; that of the last plan if this one has fewer
            and does not remove all keys that left.
        incomparable: Number of changed records whose known fingerprints an older release made, from the mapping of
            that time.
        contract: What was counted for the contract of the source; None if it has none.
        breaches: What the source does not meet of its contract, and the guards that the plan exceeds.
    """

    job: str
    account_id: str
    spec_hash: str
    removal_hash: str
    baseline: tuple[str, ...]
    baseline_rows: int
    counts: PlanCounts
    changes_digest: str
    watermark: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    removals_known: bool = True
    source_files: int = 1
    incomparable: int = 0
    contract: ContractCounts | None = None
    breaches: tuple[Breach, ...] = ()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the serialised plan: equal exactly for equal plans."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON-compatible dictionary."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {
            "format": FORMAT,
            "baseline": list(self.baseline),
            "counts": self.counts.to_dict(),
            "warnings": dict(self.warnings),
            "contract": self.contract and self.contract.to_dict(),
            "breaches": [asdict(breach) for breach in self.breaches],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the plan that `to_dict` returned.

        Raises:
            ValueError: If the values are of another format, incomplete, or have further members.
        """
        names = {item.name for item in fields(cls)}
        if values.get("format") != FORMAT or values.keys() != names | {"format"}:
            message = f"not a plan of format {FORMAT} with the members {', '.join(sorted(names))}"
            raise ValueError(message)
        try:
            read = {
                "baseline": tuple(values["baseline"]),
                "counts": PlanCounts.from_dict(values["counts"]),
                "warnings": dict(values["warnings"]),
                "contract": values["contract"] and ContractCounts.from_dict(values["contract"]),
                "breaches": tuple(Breach(**breach) for breach in values["breaches"]),
            }
        except (TypeError, AttributeError) as error:
            message = f"not a plan: {error}"
            raise ValueError(message) from None
        return cls(**{name: values[name] for name in names} | read)


def with_removed_answers(plan: Plan, answers: AbsentAnswers) -> Plan:
    """Return the plan that also removes these answers from the results of the job; an approval includes them."""
    if not answers.absent:
        return plan
    digest = hashlib.sha256(f"{plan.changes_digest}\0answers\0{answers.digest}".encode()).hexdigest()
    warnings = {**plan.warnings, "answers removed from the results, because their keys left the source": answers.absent}
    return replace(plan, changes_digest=digest, warnings=warnings)


def with_guards(plan: Plan, job: Job, last: Run | None, answers: AbsentAnswers | None = None) -> Plan:
    """Return the plan with the guards of the job that it exceeds.

    Args:
        plan: The plan of a comparison.
        job: The job.
        last: Its last run to the account that did not await approval.
        answers: Answers that the plan removes from the results of the job; None if it removes none there.
    """
    exceeded = _exceeded(plan, job, job.guards, last, answers)
    if job.permission is not None:
        allowed = job.permission.applied_to(job.guards)
        permitted = _exceeded(plan, job, allowed, last, answers)
        exceeded = tuple(still_exceeded(exceeded, permitted, job.permission.named))
    if plan.incomparable and last is not None and last.spec_hash != job.spec_hash:
        exceeded = (*exceeded, _incomparable(plan, last))
    # A plan without removals does not make the job's removal settings those of its last removals.
    removal_hash = plan.removal_hash if plan.removals_known or last is None else last.removal_hash
    source_files = plan.source_files
    if last and last.source_files and not (plan.removals_known and not plan.counts.outcomes[RowOutcome.DEFERRED]):
        source_files = max(source_files, last.source_files)
    return replace(plan, breaches=exceeded, removal_hash=removal_hash, source_files=source_files)


def _exceeded(
    plan: Plan, job: Job, guards: Guards, last: Run | None, answers: AbsentAnswers | None
) -> tuple[Breach, ...]:
    """Return the guards that a plan exceeds, by these limits."""
    return breaches(
        plan.counts,
        guards,
        baseline_rows=plan.baseline_rows,
        removes=job.removes,
        causes=removal_causes(job, plan.source_files, last),
        answers=answers,
    )


def lifted_guards(plan: Plan, job: Job, last: Run | None, answers: AbsentAnswers | None = None) -> tuple[str, ...]:
    """Return the names of the guards that a plan exceeds, and that the permission of its job allows.

    Args:
        plan: The plan of a comparison.
        job: The job.
        last: Its last run to the account that did not await approval.
        answers: Answers that the plan removes from the results of the job; None if it removes none there.
    """
    if job.permission is None:
        return ()
    stops = {breach.guard for breach in with_guards(plan, job, last, answers).breaches}
    exceeded = _exceeded(plan, job, job.guards, last, answers)
    return tuple(breach.guard for breach in exceeded if breach.guard not in stops)


def broken_contract(plan: Plan, job: Job, now: datetime) -> tuple[Breach, ...]:
    """Return what the source of a plan does not meet of its contract.

    Args:
        plan: The plan of a comparison.
        job: The job.
        now: The present time, timezone-aware.
    """
    contract = job.source.contract
    return () if contract is None or plan.contract is None else contract_breaches(contract, plan.contract, now)


def with_broken_contract(plan: Plan, broken: tuple[Breach, ...], last: Run | None) -> Plan:
    """Return the plan, held by what the source does not meet of its contract; an approval includes that.

    Args:
        plan: The plan with the guards that it exceeds.
        broken: What the source does not meet; the plan is unchanged if that is nothing.
        last: The last run of the job to the account that did not await approval.
    """
    if not broken:
        return plan
    digest = approvable_digest(plan.changes_digest, broken, last.id if last is not None else "")
    return replace(plan, breaches=(*broken, *plan.breaches), changes_digest=digest)


def _incomparable(plan: Plan, last: Run) -> Breach:
    """Return why a plan awaits approval after an upgrade of batchsync and an edit of the job at the same time."""
    message = (
        f"{plan.incomparable} of {plan.counts.changed} changed records cannot be compared with what the target holds: "
        f"an older batchsync sent them, and the job was edited since run {last.id}; a sync before the edit would"
    )
    return Breach("changes_after_upgrade", message)


def begin_run(plan: Plan, *, serial: int, at: datetime, awaiting_approval: bool) -> Run:
    """Return the run of a plan: AWAITING_APPROVAL, SETTLED if there is nothing to send, else PREPARING.

    Args:
        plan: The plan.
        serial: Serial number of the run within the job.
        at: When the plan was made.
        awaiting_approval: Whether the plan exceeds guards, and no person has approved it.
    """
    state = RunState.PREPARING if plan.counts.to_send else RunState.SETTLED
    state = RunState.AWAITING_APPROVAL if awaiting_approval else state
    return Run(
        id=RunId(f"{plan.job}-{serial}"),
        job=plan.job,
        serial=serial,
        spec_hash=plan.spec_hash,
        account_id=plan.account_id,
        state=state,
        created_at=at,
        counts=plan.counts,
        plan=plan.changes_digest,
        reason="; ".join(breach.message for breach in plan.breaches) if awaiting_approval else "",
        watermark=plan.watermark,
        warnings=plan.warnings,
        settled_at=at if state is RunState.SETTLED else None,
        removal_hash=plan.removal_hash,
        source_files=plan.source_files,
    )
