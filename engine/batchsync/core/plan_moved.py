"""Whether a plan of a plan file can still be applied: what moved since it was made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.plan_file import PinnedPlan, PlanFile
    from batchsync.core.vendor_rules import VendorRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a plan is compared with when it is applied.

    Attributes:
        declared: Digest of the job as declared now; None if jobs.yaml has no such job.
        sending: Digest of how its vendor takes batch files now.
        account_id: Id of its account and target now.
        state: Id of the journal.
        applied: Run in which the plan was applied; empty if it was not.
    """

    declared: str | None
    sending: str = ""
    account_id: str = ""
    state: str = ""
    applied: str = ""


def moved_since(file: PlanFile, pinned: PinnedPlan, present: Present) -> tuple[str, ...]:
    """Return why a plan cannot be applied: what moved since it was made, each as a sentence without a period."""
    if present.applied:
        return (f"it was applied already, in run {present.applied}",)
    if present.declared is None:
        return ("jobs.yaml has no such job any more",)
    found = []
    if file.state and present.state != file.state:
        found.append("it was made for another state folder")
    if present.declared != pinned.declared:
        found.append("the job was edited in jobs.yaml")
    if present.account_id != pinned.plan.account_id:
        found.append("the connection or target of the job is another account")
    if present.sending != pinned.sending:
        found.append("the vendor spec was changed")
    return tuple(found)


def declared_digest(job: Job) -> str:
    """Return the hex digest of what a job declares to be read, mapped, removed and sent.

    Guards, budget, schedule, dependencies, compression and the limits of a contract are not part of it: they do not
    change the rows of a plan, and are judged when it is applied. Nor is another value of a variable in a path.
    """
    parts = [job.name, job.spec_hash, job.removal_hash, job.target_hash, job.mode, job.send.rows]
    if job.results is not None:
        parts.append(str(job.results.on_removed))
    if job.source.contract is not None:
        parts += ["contract", *sorted(job.source.contract.names)]
    if job.suppress is not None:
        parts += ["suppress", job.suppress.column, job.suppress.then]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def sending_digest(rules: VendorRules, job: Job) -> str:
    """Return the hex digest of how a vendor takes the batch files of a job: format, envelope, limits, mode."""
    file = rules.file
    facts = {
        "vendor": rules.name,
        "file": [file.format, file.gzip, file.suffix, file.bytes_max, file.rows_max],
        "envelope": dict(file.envelope) if file.envelope is not None else None,
        "modes": [rules.modes.get(job.mode), rules.modes.get(job.removal.mode) if job.removal else None],
        "keeps_absent": sorted(rules.keeps_absent),
        "schema": schema.name if (schema := rules.schema_for(job.target)) else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
