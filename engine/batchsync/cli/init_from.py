"""The option `--from` of `init`: a jobs.yaml for a file, with a proposed mapping."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from batchsync import data, spec
from batchsync.app import App
from batchsync.cli.mapping_tests import run_mapping_tests
from batchsync.cli.new_files import cd_hint, existing_paths, ignoring, write_files
from batchsync.cli.session import Answer
from batchsync.cli.test import with_results
from batchsync.core.job import Source
from batchsync.core.proposal import propose
from batchsync.core.synthetic import synthetic_row
from batchsync.core.vendor_rules import Sends
from batchsync.errors import SpecError, UsageError
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize
from batchsync.settings import Settings
from batchsync.spec.proposed_jobs import proposed_text
from batchsync.spec.starters import JOBS_FILE, starter_vendors
from batchsync.spec.vendor_spec import load_vendor
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchsync.core.column_fit import ColumnFacts
    from batchsync.core.mapping_test import Json
    from batchsync.core.proposal import Proposal
    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.vendor_rules import VendorRules

#: Number of tests that are written.
_TESTS = 2
#: Characters of a path that would make it a pattern.
_PATTERN = re.compile(r"[*?\[]")


def init_from(folder: Path, file: Path, vendor: str, *, schema_name: str | None, mode_name: str | None) -> Answer:
    """Write a jobs.yaml with a proposed mapping of a file.

    Args:
        folder: Folder of the new file.
        file: The file whose columns are mapped.
        vendor: Name of the vendor.
        schema_name: Name of the record schema; None for the first of the vendor.
        mode_name: Mode of the job; None for the first of the schema.

    Returns:
        The report to print.

    Raises:
        UsageError: If a file exists already, or the vendor has no such schema or mode, or no column fits.
        SourceError: If the file cannot be read.
    """
    paths = [folder / JOBS_FILE, folder / spec.SCHEMA_FILE]
    if existing := existing_paths(paths):
        names = " and ".join(str(item) for item in existing)
        raise UsageError(f"{names} exists already; nothing was written", hint="choose another folder")
    if vendor not in starter_vendors():
        raise UsageError(f"no starter for vendor {vendor}", hint=names_hint(vendor, starter_vendors(), "vendors"))
    if _PATTERN.search(str(file)):
        raise UsageError(f"{file}: a path with *, ? or [ means several files", hint="rename the file")
    rules = load_vendor(vendor)
    schema = _schema(rules, schema_name)
    mode = _mode(rules, schema, mode_name)
    # Columns are described where the file is; jobs.yaml names it from its own folder.
    source, columns, rows = data.describe(Source(path=str(file.absolute()), folder=str(folder.absolute()), key=()))
    proposal = propose(columns, schema, mode)
    if not proposal.found():
        names = ", ".join(name for name, _ in schema.root.fields)
        raise UsageError(
            f"no column of {file} fits a member of {schema.name}; nothing was written",
            hint=f"members are: {names}",
        )
    path = os.path.relpath(file.absolute(), folder.absolute())
    needed = {name for name, required in rules.target_keys.items() if required}
    needed |= {"schema"} if schema.name != rules.default_schema else set()
    target = {name: _target(name, schema) for name in rules.target_keys if name in needed}
    text = proposed_text(
        _job_name(file),
        Source(path=path, folder="", key=(), delimiter=source.delimiter),
        rules,
        proposal,
        target=target,
        mode=mode,
        rows=_test_rows(columns, proposal, rows),
    )
    first = ignoring(folder / ".gitignore")
    write_files({**first, paths[1]: spec.jobs_schema_text(), paths[0]: text})
    open_problems = _complete_tests(paths[0])
    return Answer(report=_report([*paths, *first], proposal, schema, open_problems))


def _schema(rules: VendorRules, name: str | None) -> RecordSchema:
    """Return the record schema to map to.

    Raises:
        UsageError: If the vendor has no schema of the name.
    """
    known = rules.schemas
    chosen = name or rules.default_schema or next(iter(known), "")
    if chosen not in known:
        raise UsageError(f"{rules.name} has no schema {chosen}", hint=names_hint(chosen, known, "schemas"))
    return known[chosen]


def _mode(rules: VendorRules, schema: RecordSchema, name: str | None) -> str:
    """Return the mode of the job.

    Raises:
        UsageError: If the schema has no mode of the name.
    """
    known = [item for item in schema.modes if rules.modes.get(item) not in {None, Sends.REMOVALS}]
    chosen = name or next(iter(known), "")
    if chosen not in known:
        raise UsageError(f"{rules.name} {schema.name} has no mode {chosen}", hint=names_hint(chosen, known, "modes"))
    return chosen


def _target(name: str, schema: RecordSchema) -> str:
    """Return the value of a key of the target; a placeholder for what only a person knows."""
    return schema.name if name == "schema" else f"my-{name}"


def _job_name(file: Path) -> str:
    """Return the name of the job: that of the file, as far as a name may have its characters."""
    name = re.sub(r"[^a-z0-9]+", "-", file.name.partition(".")[0].casefold()).strip("-")
    return name[:40] or "job"


def _test_rows(
    columns: Sequence[ColumnFacts], proposal: Proposal, rows: Sequence[Mapping[str, str]]
) -> list[dict[str, Json]]:
    """Return synthetic rows of the form of the first rows, with the columns that the job uses."""
    used = {item.name for item in columns} - set(proposal.unused)
    codes = {item.column for item in proposal.found()}
    numbers = {item.name for item in columns if item.kind in {"integer", "number", "boolean"}}
    found: list[dict[str, Json]] = []
    for number, row in enumerate(rows[:_TESTS], 1):
        made = synthetic_row({name: text for name, text in row.items() if name in used}, codes, number)
        found.append({name: _typed(text) if name in numbers else text for name, text in made.items()})
    return found


def _typed(text: str) -> Json:
    """Return a number or boolean of a column of these."""
    if text in {"true", "false"}:
        return text == "true"
    return float(text) if "." in text else int(text)


def _complete_tests(path: Path) -> int:
    """Write what the tests expect; return the number of problems that have to be solved before that is possible."""
    try:
        with App(Settings(file=path)) as app:
            tested = run_mapping_tests(app, app.deployment.jobs, complete=False)
            with_results(path, tested)
    except SpecError as error:
        return len(error.problems)
    return 0


def _report(paths: Sequence[Path], proposal: Proposal, schema: RecordSchema, open_problems: int) -> Message:
    """Return what was written and guessed, and what was not."""
    found, missing = proposal.found(), proposal.missing()
    sentences = [f"wrote {path}" for path in reversed(paths)]
    sentences.append(f"key: {proposal.key} ({proposal.key_note})")
    sentences.append(
        f"guessed {pluralize(len(found), 'member')} of {schema.name}: {', '.join(item.name for item in found)}"
    )
    sentences += [f"{item.name}: {item.note}" for item in missing]
    if proposal.unused:
        sentences.append(f"not used: {', '.join(name.strip() or '(no name)' for name in proposal.unused)}")
    if open_problems:
        sentences.append(f"note: {pluralize(open_problems, 'problem')} left, before which the tests have no results")
    step = "`batchsync validate`" if open_problems else "`batchsync test`"
    return Message(
        sentences=tuple(sentences),
        facts={
            "written": [str(path) for path in paths],
            "key": proposal.key,
            "guessed": {item.name: item.value for item in found},
            "missing": {item.name: item.note for item in missing},
            "unused": list(proposal.unused),
            "problems": open_problems,
        },
        next_step=f"check each `# guessed` in {paths[0]}, then {cd_hint(paths[0].parent)}{step}, "
        "then `batchsync plan --mocks`",
    )
