"""Members of the JSON output of each command, with their types and meanings. Tests hold every output against them.

A type is `text`, `int`, `number`, `bool`, `time` (ISO 8601, UTC), `any` or `object`, or the name of an object of
`OBJECTS`. `T?` may also be null, `[T]` is a list, `{T}` an object with any names. A member whose name ends in `?`
may be missing.
"""

from __future__ import annotations

from batchsync.core.row_outcome import PLAN_OUTCOMES

#: Members of an object: name, type, and meaning.
Members = dict[str, tuple[str, str]]

PROBLEMS = ("[problem]", "Problems of jobs.yaml and its sources.")
NEXT = ("[text]", "Next commands, in backquotes, each with what it does.")
NOTES = ("[text]", "Notes on what was not done or not known.")
JOB = ("text", "Name of the job.")
RUN = ("text", "Id of the run.")
BATCH = ("text", "Id of the batch.")
REASON = ("text", "Reason that was given.")

OBJECTS: dict[str, Members] = {
    "envelope": {
        "schema_version": ("int", "Version of this format: 1."),
        "command": ("text", "Name of the command."),
        "ok": ("bool", "Whether the exit code is 0."),
        "exit_code": ("int", "Exit code of the process."),
        "result": ("object?", "Result of the command; null if it failed before it had any."),
        "error": ("failure?", "What failed; null if nothing did."),
    },
    "failure": {
        "code": ("text", "Stable identifier of the kind of failure."),
        "message": ("text", "What went wrong."),
        "hint": ("text", "Next step; may be empty."),
        "problems": PROBLEMS,
    },
    "problem": {
        "code": ("text", "Stable identifier of the kind of problem."),
        "message": ("text", "What is wrong."),
        "file": ("text", "File that has the problem; may be empty."),
        "line": ("int", "Line, from 1; 0 if unknown."),
        "column": ("int", "Column, from 1; 0 if unknown."),
        "expected": ("text", "What would be right; may be empty."),
        "suggestion": ("text", "A correction; may be empty."),
    },
    "job_error": {
        "message": ("text", "What went wrong."),
        "hint": ("text", "Next step; may be empty."),
        "problems": PROBLEMS,
    },
    "key": {
        "key": ("text?", "The key; null if it is personal and masked."),
        "source_row": ("int?", "Row of the source, from 1; null if unknown."),
    },
    "run": {
        "job": JOB,
        "run": RUN,
        "state": ("text", "State of the run, such as settled, in_flight or awaiting_approval."),
        "started_at": ("time", "When the run began."),
        "settled_at": ("time?", "When it was settled."),
        "reason": ("text", "Why it is held or what it waits for; may be empty."),
        "approved": ("approval?", "Approval of its plan."),
        "settlement": ("{int}", "The settlement equation by outcome, and its figures."),
        "sent": ("int", "Records in its batch files."),
        "within_budget": ("bool", "Whether no budget is exceeded."),
        "warnings": ("{int}", "Rows with a warning, by warning."),
        "batches": ("[batch]", "Its batches."),
    },
    "approval": {"at": ("time", "When."), "reason": ("text", "Why; may be empty.")},
    "batch": {
        "batch": BATCH,
        "run": RUN,
        "job": JOB,
        "seq": ("int", "Number of the batch in its run, from 0."),
        "phase": ("text", "Phase of the batch."),
        "in_doubt": ("text?", "Call whose outcome is unknown."),
        "vendor_status": ("text", "Last status word of the vendor; may be empty."),
        "verdict": ("text?", "What the final status means."),
        "records": ("int", "Records in its file."),
        "bytes": ("int", "Size of its file."),
        "attempt": ("int", "Number of the attempt, from 1."),
        "allocation": ("text?", "Id that the vendor gave."),
        "submitted_at": ("time?", "When it was handed over."),
        "next_at": ("time?", "When the next step is due."),
        "failures": ("int", "Failures in a row."),
        "reason": ("text", "Why it waits or needs attention; may be empty."),
        "counts": ("{int}?", "Records by outcome, once they are known."),
        "next?": ("text", "Next step in words."),
    },
    "job_outcome": {
        "job": JOB,
        "exit_code": ("int", "Exit code of the job."),
        "runs": ("[run]", "Runs that were worked on."),
        "skipped": ("text?", "Why the job was skipped."),
        "results": ("text?", "File of the results."),
        "unresolved": ("[text]", "Batches of unknown outcome."),
        "error": ("job_error?", "Error that ended the job."),
    },
    "plan": {
        "job": JOB,
        "plan": ("text", "Digest of the changes, which an approval names."),
        "source_rows": ("int", "Rows of the source."),
        "selected": ("int", "Selected records."),
        "add": ("int", "Keys that the target lacks."),
        "change": ("int", "Keys whose record changed."),
        "resent": ("int", "Keys that are sent again."),
        "remove": ("int", "Keys that left the source and are removed."),
        "to_send": ("int", "Records to send."),
        **{f"{item.name_in_plan}?": ("int", f"Records: {item.label_in_plan}.") for item in PLAN_OUTCOMES},
        "first": ("{[key]}", "First keys by kind of change."),
        "invalid_groups": ("[invalid_group]", "Invalid records by reason."),
        "partial_read": ("partial_read?", "Which rows are read of a source with since."),
        "within_budget": ("bool", "Whether no budget is exceeded."),
        "baseline_rows": ("int", "Keys that the target is known to hold."),
        "contract": ("contract?", "Freshness and columns of the source."),
        "guards": ("[guard]", "Guards that stop the plan."),
        "approved": ("bool", "Whether the plan is approved."),
        "awaiting_approval": ("bool", "Whether a sync would wait for approval."),
        "batches_in_flight": ("int", "Open batches of the job."),
        "warnings": ("{int}", "Rows with a warning, by warning."),
    },
    "invalid_group": {
        "field": ("text?", "Member."),
        "code": ("text?", "Identifier of the rule."),
        "count": ("int", "Records."),
        "first": ("[key]", "First keys."),
    },
    "guard": {"guard": ("text", "Name of the guard."), "message": ("text", "What exceeds it.")},
    "partial_read": {
        "column": ("text", "Column of since."),
        "from": ("any", "Value from which on rows are read."),
        "full_read_from": ("time?", "When all rows are read again."),
    },
    "contract": {
        "rows?": ("int", "Rows that were counted."),
        "freshness": ("{any}?", "Column, max_age and, where it was counted, newest."),
        "columns": ("{any}", "max_null and, where it was counted, null, by column."),
        "on_breach": ("text", "hold or fail."),
    },
    "unplanned": {
        "job": JOB,
        "message": ("text", "Why there is no plan."),
        "hint": ("text", "Next step; may be empty."),
        "problems": PROBLEMS,
    },
    "job_status": {
        "job": JOB,
        "declared": ("bool", "Whether jobs.yaml has the job."),
        "last_run": ("run?", "The newest run."),
        "next_tick": ("time?", "When the schedule fires next."),
        "runner": ("text?", "Process that runs the job."),
        "unresolved": ("[text]", "Batches of unknown outcome."),
        "approved": ("bool", "Whether the plan that waits is approved."),
    },
    "reject": {
        "at?": ("time", "When the row was rejected."),
        "job": JOB,
        "run": RUN,
        "batch": ("text?", "Id of the batch; null for a row that was not sent."),
        "kind": ("text", "Outcome: rejected, invalid, unknown or superseded."),
        "key": ("text?", "The key; null if the row has none."),
        "field": ("text?", "Member."),
        "code": ("text?", "Code of the vendor, or identifier of the rule."),
        "reason": ("text", "Why."),
        "batch_line": ("int?", "Line of the batch file, from 1."),
        "source_row": ("int?", "Row of the source, from 1."),
        "retry": ("bool", "Whether the row is sent again unchanged."),
    },
    "reject_group": {
        "kind": ("text", "Outcome."),
        "code": ("text?", "Code of the vendor, or identifier of the rule."),
        "field": ("text?", "Member."),
        "count": ("int", "Rows."),
    },
    "key_state": {
        "job": JOB,
        "target": ("text?", "What the target holds: accepted, assumed, rejected, unknown, again or nothing."),
        "in_baseline": ("bool?", "Whether the baseline holds a version of the key."),
        "in_flight": ("[key_in_flight]", "Open batches with a version of the key."),
        "rejects": ("[reject]", "Rejects of the key, oldest first."),
        "note": ("text?", "Why the baseline could not be read."),
    },
    "key_in_flight": {
        "batch": BATCH,
        "run": RUN,
        "phase": ("text", "Phase of the batch."),
        "batch_line": ("int", "Line of the batch file, from 1."),
    },
    "acceptance": {
        "at": ("time", "When."),
        "transactions": ("int", "Transactions of the accepted state."),
        "newest": ("int", "Transactions of the newest state."),
        "other": ("text?", "Folder of the copy that is refused."),
        "reason": REASON,
    },
    "job_ticks": {
        "job": JOB,
        "schedule": ("text", "The schedule as a sentence."),
        "timezone": ("text", "Time zone of the schedule."),
        "ticks": ("[time]", "Next ticks."),
    },
    "check": {
        "check": ("text", "What was checked."),
        "ok": ("bool", "Whether it is in order."),
        "found": ("text", "What was found."),
        "fix": ("text?", "What mends it."),
    },
    "forgotten": {
        "job": JOB,
        "keys": ("int", "Keys that were erased."),
        "held_by_vendor": ("int", "Keys that the vendor still holds."),
        "segments": ("int", "Segments that were rewritten."),
        "texts": ("int", "Texts that were erased."),
        "files": ("int", "Files that were deleted."),
        "answers": ("int", "Answers that were erased."),
        "removal_modes": ("[text]", "Modes by which the vendor forgets a person."),
    },
    "job_state": {
        "job": JOB,
        "declared": ("bool", "Whether jobs.yaml has the job."),
        "runs": ("int", "Runs that are kept."),
        "open_batches": ("[text]", "Ids of its open batches."),
        "baselines": ("[baseline]", "What its targets are known to hold."),
        "baseline_bytes": ("int", "Size of the files of its baselines."),
        "batch_bytes": ("int", "Size of its batch files and row manifests."),
        "rejects": ("int", "Rejects that are kept."),
        "last_run": ("time?", "When its newest run began."),
    },
    "baseline": {
        "account": ("text", "Id of the account and target."),
        "segments": ("int", "Files."),
        "entries": ("int", "Entries; a key may have several."),
    },
    "vendor": {
        "name": ("text", "Name of the vendor."),
        "title": ("text", "What it is called."),
        "schemas": ("[text]", "Record schemas."),
        "modes": ("[text]", "Modes."),
    },
    "vendor_schema": {
        "name": ("text", "Name of the record schema."),
        "modes": ("[text]", "Modes in which the record may be sent."),
        "notes": ("[text]", "Rules of several members."),
        "members": ("[vendor_member]", "Members, by path."),
        "source": ("text", "Document that states them."),
    },
    "vendor_member": {
        "member": ("text", "Path; [] stands for the items of a list."),
        "kind": ("text", "JSON type, or scalar."),
        "format": ("text?", "Named format."),
        "required_in": ("[text]", "Modes in which it is required; * is every mode."),
        "values": ("[text]", "Listed values."),
        "rule": ("text", "All rules in words."),
        "source": ("text", "Document that states them; may be empty."),
    },
    "message": {"message": ("text", "What went wrong."), "hint": ("text", "Next step; may be empty.")},
}
