"""`batchsync test`."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli import options
from batchsync.cli.command import command
from batchsync.cli.mapping_tests import run_mapping_tests
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.cli.untrusted import run_untrusted, untrusted_option
from batchsync.errors import ExitCode, UnavailableError, UsageError
from batchsync.report.tests import TestsReport
from batchsync.util.files import fsync_file, os_error_reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.cli.mapping_tests import Tested
    from batchsync.core.mapping_test import Json, MappingResult
    from batchsync.report.tests import CaseReport

_BOM = b"\xef\xbb\xbf"


@command(
    "test",
    example="batchsync test\nbatchsync test guests --update\nbatchsync test -o junit > report.xml",
    outputs=(*options.OUTPUTS, "junit"),
)
@selectors
@click.option("--update", is_flag=True, help="Replace what failing tests expect by the result, in jobs.yaml.")
@click.option("--no-scenarios", is_flag=True, help="Run the tests of mappings only; no mocks are started.")
@untrusted_option
def test(
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    update: bool,
    no_scenarios: bool,
    untrusted: bool,
) -> Answer | int:
    """Run the tests that jobs.yaml declares.

    Maps the rows that `tests:` of a job gives as a sync would, and compares the records, or the reasons why rows are
    invalid, with those expected. Needs no vendor, no state and no source: the columns of a local source are looked up,
    and no row is read.

    Then plays `scenarios:` whose jobs are selected: a sync against the bundled mocks, in a temporary state folder.

    With --update, what failing tests expect is replaced in jobs.yaml, and the rest of the file stays as it is.

    Returns:
        The report to print, with the exit code; the exit code of the limited process with --untrusted.

    Raises:
        UsageError: If --update and --untrusted are given.
    """
    if untrusted and update:
        raise UsageError("--update with --untrusted", hint="omit one of them: files of strangers are not written")
    if untrusted and not session.confined:
        flags = ["--no-scenarios"] if no_scenarios else []
        return run_untrusted(session, ["test", *flags, *(f"--exclude={word}" for word in exclude), *jobs])
    with session.app() as app:
        chosen = app.jobs(chosen_jobs(session, app.deployment, jobs, exclude).names)
        tested = run_mapping_tests(app, chosen, complete=not update)
        cases = [case for *_, case in tested]
        if update:
            cases = with_results(app.settings.file, tested)
        notes = []
        if session.confined and app.deployment.scenarios:
            notes.append("scenarios were not played: --untrusted starts no mocks")
        elif app.deployment.scenarios and not no_scenarios:
            from batchsync.cli.scenarios import play_scenarios  # noqa: PLC0415 - imports the mocks and the whole engine

            cases += play_scenarios(app, chosen)
        if not cases:
            notes.append(_no_tests(jobs))
        report = TestsReport(cases=tuple(cases), notes=tuple(notes))
    return Answer(report=report, exit_code=ExitCode.TESTS_FAILED if report.failed else ExitCode.DONE)


def _no_tests(jobs: tuple[str, ...]) -> str:
    """Return the note that there is nothing to run."""
    owner = ", ".join(jobs) if jobs else "the jobs file"
    return f"{owner} has no tests: write `tests:` in a job, or `batchsync init` shows an example"


def with_results(file: Path, tested: Iterable[Tested]) -> list[CaseReport]:
    """Write the results of failing tests to the files of jobs as what they expect.

    Args:
        file: The jobs file; tests of files that it includes are written there.
        tested: The tests with their results.

    Returns:
        The reports of all tests.

    Raises:
        UsageError: If the file was changed meanwhile, or cannot be edited safely.
        UnavailableError: If it cannot be written.
    """
    cases: list[CaseReport] = []
    by_file: dict[Path, list[spec.Expectation]] = {}
    for job, test, result, case in tested:
        if not (case.differences or not test.states_result) or result.failure:
            cases.append(case)
            continue
        path = (Path(test.place.file) if test.place.file else file).resolve()
        by_file.setdefault(path, []).append(spec.Expectation(job.name, test.index, _values(result)))
        cases.append(replace(case, updated=True))
    for path, expectations in by_file.items():
        content = path.read_bytes()
        bom = _BOM if content.startswith(_BOM) else b""
        text = spec.with_expectations(content.removeprefix(bom).decode("utf-8"), expectations)
        _replace_file(path, bom + text.encode("utf-8"))
    return cases


def _values(result: MappingResult) -> dict[str, Json]:
    """Return the keys of a test that expects a result."""
    if result.is_left_out:
        return {"left_out": True}
    values: dict[str, Json] = {}
    if result.records or not result.reasons:
        values["expect"] = result.records[0] if len(result.records) == 1 else list(result.records)
    if result.reasons:
        values["reason"] = result.reasons[0] if len(result.reasons) == 1 else list(result.reasons)
    return values


def _replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically; its mode stays.

    Raises:
        UnavailableError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        fsync_file(partial)
        shutil.copymode(path, partial)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {os_error_reason(error).lower()}; it was not changed",
            hint="choose a writable folder on a disk with free space",
        ) from None
