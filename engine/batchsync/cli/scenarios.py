"""Play the scenarios that jobs.yaml declares: a sync against the bundled mocks, in a temporary state folder."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync import data
from batchsync.app import App
from batchsync.core.mapping_test import Difference
from batchsync.core.scenario import calls_of, mock_faults
from batchsync.errors import BatchsyncError, ExitCode, Problem, SpecError, most_severe_exit_code
from batchsync.interrupts import TimeLimitReached
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import sync
from batchsync.report.tests import SCENARIOS, CaseReport
from batchsync.settings import Settings
from batchsync.spec.vendor_mocks import mock_arguments
from batchsync.spec.vendor_spec import load_vendor
from batchsync.util.scratch import scratch_folder
from batchsync.vendors.bundled_mocks import bundled_mocks, ledger_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsync.core.connection import Connection
    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.scenario import Scenario
    from batchsync.core.vendor_calls import Dialect
    from batchsync.reconcile.sync import JobOutcome

#: Real time after which a scenario is ended. The clock of the mocks is advanced instead of waiting.
LIMIT = timedelta(minutes=2)
#: Number of polls after which a batch that never finishes is past its deadline.
POLLS_MAX = 300


class _ScenarioApp(App):
    """Application whose jobs read what a scenario gives."""

    def __init__(self, settings: Settings, scenario: Scenario, folder: Path) -> None:
        """Keep the scenario, and the folder for its rows."""
        super().__init__(settings)
        self._scenario, self._folder = scenario, folder

    @cached_property
    def _given(self) -> Deployment:
        """The deployment with the sources of the scenario."""
        declared = super().deployment
        return replace(
            declared,
            jobs=tuple(self._with_source(job) for job in declared.jobs),
            connections={name: _with_few_polls(item) for name, item in declared.connections.items()},
            state_required=False,
        )

    @property
    def deployment(self) -> Deployment:
        """Return the contents of jobs.yaml, with the sources of the scenario."""
        return self._given

    def _with_source(self, job: Job) -> Job:
        scenario = self._scenario
        if job.name in scenario.rows:
            return data.with_given_rows(job, scenario.rows[job.name], self._folder)
        if job.name in scenario.paths:
            path = scenario.paths[job.name]
            source = replace(job.source, path=path, format=None, job=None, query=None, stored=None, contract=None)
            return replace(job, source=source)
        return job


def _with_few_polls(connection: Connection) -> Connection:
    """Return a connection that polls at most `POLLS_MAX` times until the deadline of a batch."""
    deadline = connection.deadline or load_vendor(connection.vendor, connection.settings).policy.deadline
    return replace(connection, poll_every=max(connection.poll_every or timedelta(0), deadline / POLLS_MAX))


def play_scenarios(app: App, jobs: Sequence[Job]) -> tuple[CaseReport, ...]:
    """Play the scenarios whose jobs are all among the given ones.

    Args:
        app: The application, whose jobs file declares them.
        jobs: The jobs.

    Returns:
        What became of each scenario, in their order.

    Raises:
        SpecError: If a fault hits a call that no vendor of its jobs has; contains every problem.
        UnavailableError: If the mocks are not installed, or do not start.
    """
    names = {job.name for job in jobs}
    chosen = [item for item in app.deployment.scenarios if names.issuperset(_jobs_of(app, item))]
    problems = tuple(problem for scenario in chosen for problem in _problems(app, scenario))
    if problems:
        raise SpecError(problems)
    return tuple(_play(app, scenario) for scenario in chosen)


def _jobs_of(app: App, scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the jobs of a scenario."""
    return scenario.jobs or tuple(job.name for job in app.deployment.jobs)


def _dialects(app: App, scenario: Scenario) -> dict[str, Dialect]:
    """Return the HTTP calls of the vendors of a scenario's jobs, by vendor."""
    rules = [app.rules_of(job) for job in app.deployment.jobs if job.name in _jobs_of(app, scenario)]
    return {item.name: item.dialect for item in rules if item.dialect is not None}


def _problems(app: App, scenario: Scenario) -> Iterator[Problem]:
    """Yield the faults that hit a call that no vendor of the jobs has."""
    dialects = _dialects(app, scenario)
    for fault in scenario.faults:
        if fault.on and not any(calls_of(dialect, fault.on) for dialect in dialects.values()):
            yield Problem(
                code="spec.scenario",
                message=f'{" and ".join(dialects) or "the vendor"} has no call "{fault.on}"',
                file=fault.place.file,
                line=fault.place.line,
                column=fault.place.column,
                suggestion="name another call, or none",
            )


def _play(app: App, scenario: Scenario) -> CaseReport:
    """Play a scenario; return how its end differs from what is expected."""
    begin = time.perf_counter()
    names = _jobs_of(app, scenario)
    dialects = _dialects(app, scenario)
    with scratch_folder() as folder:
        profile = folder / "faults.yaml"
        content = {"faults": list(mock_faults(scenario, dialects)), "switches": dict(scenario.switches)}
        profile.write_text(json.dumps(content), encoding="utf-8")
        options = [word for name in (*scenario.profiles, str(profile)) for word in ("--profile", name)]
        options += ["--seed", str(scenario.seed)]
        jobs = [job for job in app.deployment.jobs if job.name in names]
        sources = mock_arguments(app.connection_of(job) for job in jobs)
        with bundled_mocks(sources, folder / "vendors", app.clock, options) as mocks:
            settings = Settings(
                file=app.settings.file,
                state=folder / "state",
                mocks=True,
                mocks_at=folder / "vendors" / "ready.json",
                anchors=Path("off"),
            )
            found: list[Difference] = []
            with _ScenarioApp(settings, scenario, folder) as played:
                outcomes = _synced(played, names, found)
                connections = {job.name: played.rules_of(job).name for job in played.deployment.jobs}
            ledgers = {
                vendor: ledger_summary(mocks, vendor) for vendor in sorted({app.rules_of(job).name for job in jobs})
            }
    differences = (*found, *_differences(scenario, outcomes), *against_ledgers(outcomes, connections, ledgers))
    return CaseReport(
        suite=SCENARIOS,
        name=scenario.name,
        place=scenario.place,
        seconds=time.perf_counter() - begin,
        differences=differences,
    )


def _synced(app: App, names: Sequence[str], found: list[Difference]) -> Sequence[JobOutcome]:
    """Sync the jobs; return their outcomes, and add why the sync was ended, if it was."""
    app.interrupts.install()
    try:
        with app.interrupts.time_limit(LIMIT):
            return sync(app.contexts(names), app.services(names), WaitPolicy(wait=True, until=None))
    except TimeLimitReached:
        found.append(Difference("end", f"within {LIMIT.seconds} s", "the sync was ended"))
    except BatchsyncError as error:
        found.append(Difference("error", None, error.message))
    return ()


def _differences(scenario: Scenario, outcomes: Sequence[JobOutcome]) -> Iterator[Difference]:
    """Yield the differences in exit code and numbers of rows."""
    expected = dict(scenario.expect)
    code = most_severe_exit_code(outcome.exit_code for outcome in outcomes)
    wanted = expected.pop("exit", int(ExitCode.DONE))
    if code != wanted:
        yield Difference("exit", _exit_text(wanted), _exit_text(code))
        for outcome in outcomes:
            if outcome.error is not None:
                yield Difference(f"{outcome.job}: error", None, outcome.error.message)
    counts = _counts(outcomes)
    for name, number in expected.items():
        if counts[name] != number:
            yield Difference(name, str(number), str(counts[name]))


def _exit_text(code: int) -> str:
    """Return an exit code with its meaning."""
    meaning = next((item.meaning for item in ExitCode if item == code), "")
    return f"{int(code)} ({meaning})" if meaning else str(code)


def _counts(outcomes: Sequence[JobOutcome]) -> Counter[str]:
    """Return the number of rows by outcome over all runs, and of selected records."""
    found: Counter[str] = Counter()
    for run in (run for outcome in outcomes for run in outcome.runs):
        found["selected"] += run.settlement.selected
        found.update({name.value: number for name, number in run.settlement.outcomes.items()})
    return found


def against_ledgers(
    outcomes: Sequence[JobOutcome], vendors: Mapping[str, str], ledgers: Mapping[str, Mapping[str, int]]
) -> Iterator[Difference]:
    """Yield the differences between what was settled and what the ledgers of the vendors say.

    Args:
        outcomes: Outcomes of the jobs.
        vendors: Vendor by job.
        ledgers: Summary of the ledger by vendor.

    Yields:
        A difference for each number of rows that the ledger contradicts.
    """
    for vendor, ledger in ledgers.items():
        counts = _counts([outcome for outcome in outcomes if vendors[outcome.job] == vendor])
        for name, most in (("accepted", 0), ("rejected", ledger["unprocessed"])):
            tolerance = counts["unknown"] + counts["deferred"]
            if not ledger[name] - tolerance <= counts[name] <= ledger[name] + most:
                yield Difference(f"ledger of {vendor}: {name}", str(ledger[name]), f"{counts[name]} settled")
