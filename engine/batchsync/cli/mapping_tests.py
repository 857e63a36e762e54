"""Run the tests of mappings that jobs.yaml declares."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batchsync import data, spec
from batchsync.core.mapping_test import differences
from batchsync.errors import Problem, SpecError, without_hidden
from batchsync.report.tests import CaseReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.app import App
    from batchsync.core.job import Job
    from batchsync.core.mapping_test import MappingResult, MappingTest

Tested = tuple["Job", "MappingTest", "MappingResult", CaseReport]


def run_mapping_tests(app: App, jobs: Sequence[Job], *, complete: bool = True) -> tuple[Tested, ...]:
    """Return the tests of jobs with their results. No vendor is called, and no row of a source is read.

    Args:
        app: The application.
        jobs: The jobs.
        complete: Whether a test that states no result is a problem.

    Raises:
        SpecError: If a test does not fit its job, or the mapping of a job its columns; contains every problem.
    """
    found: list[Tested] = []
    problems: list[Problem] = []
    for job in jobs:
        tests = app.deployment.tests.get(job.name, ())
        if not tests:
            continue
        problems += [_without_result(test) for test in tests if complete and not test.states_result]
        tested, more = _run(app, job, tests)
        found += tested
        problems += more
    if problems:
        raise SpecError(tuple(without_hidden(item) for item in spec.fill_in_lines(tuple(problems))))
    return tuple(found)


def mapping_test_problems(app: App, jobs: Sequence[Job]) -> tuple[Problem, ...]:
    """Return what is wrong with the tests of jobs, whether they pass or not."""
    try:
        run_mapping_tests(app, [job for job in jobs if job.name in app.deployment.tests])
    except SpecError as error:
        return error.problems
    return ()


def _run(app: App, job: Job, tests: Sequence[MappingTest]) -> tuple[list[Tested], tuple[Problem, ...]]:
    """Run the tests of a job; return them with their results, and the problems."""
    # Imported here, because polars is configured after jobs.yaml is read.
    map_given = data.map_given
    rules = app.rules_of(job)
    begin = time.perf_counter()
    try:
        results, problems = map_given(job, rules, tests, app.clock.now())
    except SpecError as error:
        return [], error.problems
    seconds = (time.perf_counter() - begin) / len(tests)
    return [
        (job, test, result, _case(job, test, result, seconds)) for test, result in zip(tests, results, strict=False)
    ], problems


def _case(job: Job, test: MappingTest, result: MappingResult, seconds: float) -> CaseReport:
    found = differences(test, result)
    return CaseReport(suite=job.name, name=test.name, place=test.place, seconds=seconds, differences=found)


def _without_result(test: MappingTest) -> Problem:
    """Return the problem of a test that says nothing about the result."""
    return Problem(
        code="spec.test",
        message=f"test {test.name!r} states no result",
        file=test.place.file,
        line=test.place.line,
        column=test.place.column,
        expected="expect: the record, reason: why the row is invalid, or left_out: true",
        suggestion="`batchsync test --update` writes the result that the job has now",
    )
