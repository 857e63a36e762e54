"""Members of the result of each command, and of each line of NDJSON; `output_members` says how types are written."""

from __future__ import annotations

from batchsync.report.output_members import BATCH, CONNECTION, JOB, NEXT, NOTES, OBJECTS, REASON, RUN, Members

PLANS: Members = {
    "jobs": ("[plan]", "A plan per job."),
    "unplanned": ("[unplanned]", "Jobs without a plan."),
    "to_send": ("int", "Records to send."),
    "awaiting_approval": ("bool", "Whether a sync of one of the jobs would wait for approval."),
    "notes": NOTES,
}
#: Members of the result of each command; several forms where options choose.
RESULTS: dict[str, tuple[Members, ...]] = {
    "init": (
        {
            "folder": ("text", "Folder of the files."),
            "written": ("[text]", "Files that were written."),
            "notes": NOTES,
        },
        {
            "written": ("[text]", "Files that were written."),
            "key": ("any", "Column or columns of the key."),
            "guessed": ("{any}", "Proposed values by member."),
            "missing": ("{any}", "Members without a proposal, with the reason."),
            "unused": ("[text]", "Columns that no member uses."),
            "problems": ("any", "Problems of the written files."),
        },
    ),
    "fmt": (
        {
            "changed": ("[text]", "Files that are formatted otherwise."),
            "unchanged": ("any", "Files that need no change."),
            "written": ("bool", "Whether they were written."),
        },
    ),
    "explain": (OBJECTS["error_code"], {"codes": ("[error_code]", "All codes.")}),
    "test": (
        {
            "tests": ("[test_case]", "Tests and scenarios."),
            "counts": ("{int}", "Tests by outcome."),
            "notes": NOTES,
        },
    ),
    "validate": (
        {
            "file": ("text", "The jobs file."),
            "jobs": ("[text]", "Names of the jobs."),
            "connections": ("[text]", "Names of the connections."),
            "retention": ("{text}", "Retention periods."),
            "guards": ("{{any}}", "Limits in effect, and whether they are defaults, by job."),
            "contracts": ("{contract}", "Freshness and columns of sources, by job."),
            "columns": ("{[any]}", "Columns of sources elsewhere, by job."),
            "failed": ("{message}", "Jobs that could not be checked online."),
            "notes": NOTES,
        },
    ),
    "plan": (PLANS | {"plan_file?": ("plan_file", "The plan file, with --out.")},),
    "preview": (
        {
            "job": JOB,
            "records": ("[preview_record]", "Records, with the rows that they are made of."),
            "invalid": ("any", "Whether only invalid records were asked for, or how many there are."),
        },
    ),
    "sync": (
        {
            "jobs": ("[job_outcome]", "What became of each job."),
            "total": ("{int}", "Sum of the settlement equations."),
            "next": NEXT,
        },
    ),
    "status": (
        {
            "at": ("time", "Time of the report."),
            "open": ("[batch]", "Open batches, the most urgent first."),
            "jobs": ("[job_status]", "State of each job."),
            "alerts": ("[open_alert]", "Conditions that were alerted, and hold."),
            "channels": ("[waiting_channel]", "Channels of alerts to which messages wait."),
            "notes": NOTES,
            "next": NEXT,
        },
    ),
    "show": ({"runs": ("[run]", "Runs.")}, PLANS | {"plan_file": ("plan_file", "The plan file.")}),
    "rejects": (
        {
            "total": ("int", "Rejects."),
            "shown": ("int", "Rejects in the list."),
            "rejects": ("[reject]", "Rejects."),
            "current": ("any", "Whether they are those of the newest runs."),
            "superseded": ("int", "Superseded rows, which are not listed."),
            "exported": ("text?", "File that they were written to."),
        },
        {"total": ("int", "Rejects."), "groups": ("[reject_group]", "Rejects by reason.")},
    ),
    "why": (
        {
            "key": ("text", "The key."),
            "jobs": ("[key_state]", "State of the key in each job."),
            "notes": NOTES,
            "next": NEXT,
        },
    ),
    "history": ({"runs": ("[run]", "Runs, newest first."), "acceptances": ("[acceptance]", "Accepted states.")},),
    "approve": (
        {
            "job": JOB,
            "run": RUN,
            "plan": ("text", "Digest of the approved plan."),
            "blocked_because": ("text", "Why it was blocked."),
            "reason": ("text", "Reason of the approval; may be empty."),
        },
        {
            "plan_file": ("text", "The approved plan file."),
            "id": ("text", "Its id."),
            "plans": ("[any]", "Job and digest of each approved plan."),
            "reason": ("text", "Reason of the approval; may be empty."),
        },
    ),
    "cancel": ({"job": JOB, "batches": ("[text]", "Ids of the batches.")},),
    "schedule": (
        {"at": ("time", "Time of the report."), "jobs": ("[job_ticks]", "Next ticks of each job.")},
        {
            "format": ("text", "Format of --export."),
            "folder": ("text?", "Folder of --into; null if nothing was written."),
            "files": ("[exported_file]", "Files of the other scheduler."),
        },
    ),
    "doctor": ({"problems": ("int", "Checks that failed."), "checks": ("[check]", "Checks.")},),
    "alerts test": ({"problems": ("int", "Channels that failed."), "checks": ("[check]", "Channels.")},),
    "resolve": ({"job": JOB, "batch": BATCH, "delivered": ("bool", "Whether the vendor has its rows.")},),
    "collect": ({"job": JOB, "batch": BATCH, "unknown": ("int", "Rows of unknown outcome.")},),
    "forget": (
        {
            "jobs": ("[forgotten]", "What was erased, by job."),
            "unknown": ("int", "Keys that no job knows."),
            "remains": ("[text]", "What remains elsewhere."),
            "next": NEXT,
        },
        {"jobs": ("[text]", "Jobs."), "deleted": ("int", "Requests that were withdrawn.")},
    ),
    "unlock": (
        {"job": JOB, "owner": ("text", "Former holder of the lease; may be empty."), "epoch": ("int", "New epoch.")},
    ),
    "vendors": (
        {"vendors": ("[vendor]", "The available vendors.")},
        {
            "name": ("text", "Name of the vendor."),
            "title": ("text", "What it is called."),
            "credentials": ("[text]", "Credentials that a connection needs."),
            "target": ("{bool}", "Keys of a target, and whether they are required."),
            "modes": ("{text}", "Modes, and what each sends."),
            "schemas": ("[vendor_schema]", "Record schemas."),
            "settings": ("[vendor_setting]", "Keys of a connection by which accounts differ."),
            "statuses": ("{text}", "Vendor statuses, and what each means."),
            "facts": ("int", "Known facts; docs/vendors lists them."),
        },
    ),
    "vendors services": (
        {
            "connection": CONNECTION,
            "key": ("text", "Key of a target that names an option."),
            "options": ("[option]", "What the vendor lists, in its order."),
        },
    ),
    "vendors template": (
        {
            "connection": CONNECTION,
            "id": ("text", "Id of the service."),
            "name": ("text?", "Its name."),
            "columns": ("[text]", "Columns of the template."),
            "file": ("text?", "File that was written; null without --save."),
        },
    ),
    "vendors new": (
        {
            "vendor": ("text", "Name of the vendor."),
            "folder": ("text", "Its folder."),
            "written": ("[text]", "Files that were written."),
        },
    ),
    "vendors check": (
        {
            "vendor": ("text", "Name of the vendor."),
            "title": ("text", "What it is called."),
            "schemas": ("[text]", "Its record schemas."),
            "exchanges": ("[played_exchange]", "Exchanges, as played."),
            "deviations": ("[deviation]", "Where an exchange deviates."),
            "facts": ("int", "Number of its facts."),
            "assumed": ("[assumption]", "Sources that say assumed, and facts that are assumed."),
            "unstated": ("[unstated]", "What the folder does not say."),
            "next": NEXT,
        },
    ),
    "vendors verify": (
        {
            "vendor": ("text", "Name of the vendor."),
            "settings": ("{text}", "What the connection chose of the vendor's settings."),
            "rows": ("int", "Rows of the test batch."),
            "state": ("text", "How the test batch ended."),
            "counts": ("{int}", "Number of facts by verdict."),
            "facts": ("[fact]", "The known facts of the vendor."),
        },
    ),
    "schema": ({"file": ("text", "File that was written.")},),
    "dbt-exposures": (
        {"exposures": ("[any]", "Exposures, as dbt reads them."), "version?": ("int", "Version of the file.")},
    ),
    "state list": (
        {
            "state": ("text", "The state folder."),
            "journal_bytes": ("int", "Size of the journal."),
            "jobs": ("[job_state]", "What it holds of each job."),
        },
    ),
    "state mv": (
        {
            "job": ("text", "New name."),
            "former": ("text", "Former name."),
            "baselines": ("int", "Baselines that were moved."),
            "entries": ("int", "Their entries."),
        },
    ),
    "state rm": (
        {
            "job": JOB,
            "runs": ("[text]", "Runs that record the removal."),
            "entries": ("int", "Entries that were forgotten."),
            "reason": REASON,
        },
    ),
    "state backup": ({"place": ("text", "Place of the backup.")} | OBJECTS["snapshot"],),
    "state restore": (
        {
            "place": ("text", "Place of the backup."),
            **OBJECTS["snapshot"],
            "before": ("snapshot?", "Backup of the state before; null if there was none."),
            "accepted": ("text?", "What spoke against it, and was accepted with the reason."),
        },
        {"place": ("text", "Place of the backup."), "snapshots": ("[snapshot]", "Snapshots, newest first.")},
    ),
    "state init": ({"state": ("text", "The state folder.")},),
    "state accept": (
        {
            "state": ("text", "The state folder."),
            "transactions": ("int", "Its transactions."),
            "newest": ("int", "Transactions of the newest state."),
            "other": ("text?", "Folder of the copy that is refused from now on."),
            "reason": REASON,
        },
    ),
    "state assume-delivered": (
        {"job": JOB, "run": RUN, "assumed": ("int", "Records that the target is taken to hold."), "reason": REASON},
    ),
    "state vacuum": (
        {
            "deleted": ("int", "Runs and rejects that were deleted."),
            "bytes": ("int", "Size of the journal."),
            "before": ("int", "Its size before."),
            "retention": ("{text}", "Retention periods."),
        },
    ),
    "mocks serve": (
        {
            "vendors": ("{any}", "Address and credentials of each mock."),
            "control_token": ("text", "Token of the control API."),
            "clock_url?": ("text", "Address of the clock."),
        },
    ),
}
RESULTS |= {"resume": RESULTS["sync"], "serve": RESULTS["sync"], "state show": RESULTS["state list"]}
#: Commands whose result is a document of another format, described elsewhere.
DOCUMENTS = frozenset({"schema"})

_REVISION = ("text?", "Commit or digest of the folder; null if neither is followed.")
#: Members of the lines of NDJSON besides `event` and `timestamp`, by event; several forms where commands differ.
EVENTS: dict[str, tuple[Members, ...]] = {
    "finished": (OBJECTS["envelope"],),
    "started": ({"command": ("text", "Name of the command."), "*": ("any", "Options of the command.")},),
    "jobs_reloaded": (
        {"jobs": ("[text]", "Changed jobs."), "removed": ("[text]", "Removed jobs."), "revision": _REVISION},
    ),
    "jobs_reload_failed": (
        {
            "error": ("failure", "What is wrong."),
            "job": ("text?", "The job; null for the whole file."),
            "revision": _REVISION,
        },
    ),
    "origin_checked": (
        {
            "origin": ("text", "The branch or folder that is followed."),
            "error": ("failure?", "Why it cannot be asked; null if it can again."),
        },
    ),
    "waiting": ({"until": ("time", "When the next step is due.")},),
    "batch_changed": ({name: member for name, member in OBJECTS["batch"].items() if name != "next?"},),
    "clock_differs": (
        {
            "job": JOB,
            "connection": CONNECTION,
            "seconds": ("number", "Seconds by which the vendor's clock is ahead."),
        },
    ),
    "tick_skipped": (
        {"job": JOB, "tick": ("time", "The tick."), "reason": ("text", "Why it is not run, now or later.")},
    ),
    "limit_reached": (
        {
            "job": JOB,
            "batch": ("text", "Id of the batch; empty for a job before its first call."),
            "limit": ("text", "The limit of the account, such as 10,000 rows a day."),
            "until": ("time?", "When it is tried again; null if it waits for a batch that no process follows."),
        },
    ),
    "needs_attention": ({"job": JOB, "run": RUN, "batch": BATCH, "reason": ("text", "Why.")},),
    "stage": (
        {
            "job": JOB,
            "stage": ("text", "What is being done."),
            "done": ("int?", "How much is done."),
            "total": ("int?", "How much there is."),
            "unit": ("text?", "What is counted."),
            "bytes": ("int?", "Bytes that are done."),
            "bytes_total": ("int?", "Bytes in all."),
        },
    ),
    "partial_read": ({"job": JOB} | OBJECTS["partial_read"],),
    "run_started": (
        {
            "job": JOB,
            "run": RUN,
            "selected?": ("int", "Selected records; missing for a run of an earlier process."),
            "to_send?": ("int", "Records to send."),
        },
    ),
    "guard_tripped": ({"job": JOB, "run": RUN} | OBJECTS["guard"],),
    "run_finished": (
        {
            "job": JOB,
            "run": RUN,
            "state": ("text", "State of the run."),
            "settlement": ("{int}", "Records by outcome."),
        },
    ),
    "job_finished": (
        {
            "job": JOB,
            "exit_code": ("int", "Exit code of the job."),
            "message": ("text", "What became of it; may be empty."),
        },
    ),
    "result": ({"*": ("any", "Members of the result of the command.")},),
    "check": (OBJECTS["check"],),
    "job_state": (OBJECTS["job_state"],),
    "snapshot": (OBJECTS["snapshot"],),
    "error_code": (OBJECTS["error_code"],),
    "test": (OBJECTS["test_case"],),
    "forgotten": (OBJECTS["forgotten"],),
    "run": (OBJECTS["run"],),
    "acceptance": (OBJECTS["acceptance"],),
    "settlement": (OBJECTS["run"],),
    "settled": (OBJECTS["run"],),
    "unsettled": (OBJECTS["run"],),
    "job": (OBJECTS["job_outcome"], OBJECTS["job_status"]),
    "plan": (OBJECTS["plan"],),
    "unplanned": (OBJECTS["unplanned"],),
    "plan_file": (OBJECTS["plan_file"],),
    "record": ({"job": JOB} | OBJECTS["preview_record"],),
    "suspended": ({"job": JOB, "timezone": ("text", "Time zone of the schedule.")},),
    "reject": (OBJECTS["reject"],),
    "group": (OBJECTS["reject_group"],),
    "open": (OBJECTS["batch"],),
    "alert": (OBJECTS["open_alert"],),
    "tick": ({"job": JOB, "at": ("time", "When."), "timezone": ("text", "Time zone of the schedule.")},),
    "key": ({"key": ("text", "The key.")} | OBJECTS["key_state"],),
    "vendor": (OBJECTS["vendor"],),
    "option": (OBJECTS["option"],),
    "fact": (OBJECTS["fact"],),
    "exchange": (OBJECTS["played_exchange"],),
    "deviation": (OBJECTS["deviation"],),
    "member": (
        {
            "vendor": ("text", "Name of the vendor."),
            "schema": ("text", "Name of the record schema."),
            "member": ("text", "Path; [] stands for the items of a list."),
            "rule": ("text", "All rules in words."),
        },
    ),
}
