"""Schedules in the formats of other schedulers, as texts by file name."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from batchsync.core.schedule import CatchUp, Overlap
from batchsync.errors import Problem, SpecError
from batchsync.schedule import systemd
from batchsync.schedule.cron_fields import (
    CRON,
    GITHUB,
    KUBERNETES,
    SYSTEMD,
    NotExpressibleError,
    ambiguous_days,
    cron_lines,
)
from batchsync.schedule.github import utc_lines, workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchsync.core.job import Job
    from batchsync.core.schedule import Schedule
    from batchsync.schedule.command import Command

#: Longest name of a CronJob.
_NAME_MAX = 52
_PREFIX = "batchsync-"
#: Seconds within which a run of Kubernetes has to begin; later, its tick is missed.
_DEADLINE = 900


def export(jobs: Sequence[Job], form: str, command: Command) -> Mapping[str, str]:
    """Return the files of another scheduler that run jobs by their schedules. Suspended jobs are left out.

    Args:
        jobs: Jobs; those without a schedule are left out.
        form: One of `FORMATS`.
        command: What is run.

    Returns:
        Texts by file name, in order.

    Raises:
        SpecError: If a schedule cannot be expressed in the format; contains every problem, with its place.
    """
    problems: list[Problem] = []
    found: list[tuple[str, Schedule]] = []
    for job in jobs:
        if (schedule := job.effective_schedule) is None:
            continue
        try:
            _check(schedule, form)
            _WRITERS[form]([(job.name, schedule)], command)
            found.append((job.name, schedule))
        except NotExpressibleError as error:
            problems.append(_problem(job, schedule, form, error))
    if problems:
        raise SpecError(tuple(problems))
    return _WRITERS[form](found, command) if found else {}


def _problem(job: Job, schedule: Schedule, form: str, error: NotExpressibleError) -> Problem:
    place = schedule.places.get(error.key) or schedule.places.get("schedule") or job.place
    return Problem(
        code="spec.schedule_export",
        message=f"{job.name}: {form} cannot express {error.reason}",
        file=place.file,
        line=place.line,
        column=place.column,
        expected=error.expected,
    )


def _check(schedule: Schedule, form: str) -> None:
    """Check the keys that only some schedulers have.

    Raises:
        NotExpressibleError: If the format has none for one that is set.
    """
    for key, spans in (("window", schedule.window), ("quiet", schedule.quiet)):
        if spans:
            raise NotExpressibleError(key, f"`{key}`", "the hours in the cron line, or `batchsync serve`")
    if schedule.catch_up is CatchUp.ALL:
        raise NotExpressibleError("catch_up", "`catch_up: all`", "last or none, or `batchsync serve`")
    if schedule.jitter and form != SYSTEMD:
        raise NotExpressibleError("jitter", "`jitter`", "no jitter, systemd, or `batchsync serve`")
    if schedule.overlap is Overlap.QUEUE and form in (SYSTEMD, CRON):
        raise NotExpressibleError("overlap", "`overlap: queue`", "allow or skip, or `batchsync serve`")
    if schedule.overlap is Overlap.SKIP and form == GITHUB:
        raise NotExpressibleError("overlap", "`overlap: skip`", "allow or queue, or `batchsync serve`")
    if form == KUBERNETES:
        _check_kubernetes(schedule)
    if form != SYSTEMD and any(ambiguous_days(line.fields) for line in cron_lines(schedule)):
        reason = "a step in one of the day fields together with the other, which schedulers read differently"
        raise NotExpressibleError("cron", reason, "numbers instead of the step")


def _check_kubernetes(schedule: Schedule) -> None:
    """Check what a CronJob cannot tell apart: a tick missed during a run, and one missed while nothing ran.

    Raises:
        NotExpressibleError: If the schedule wants them treated differently.
    """
    drops = schedule.catch_up is CatchUp.NONE
    if schedule.overlap is not Overlap.ALLOW and drops != (schedule.overlap is Overlap.SKIP):
        reason = f"`overlap: {schedule.overlap}` with `catch_up: {schedule.catch_up}`"
        raise NotExpressibleError("overlap", reason, "skip with none, queue with last, or allow")
    if len(cron_lines(schedule)) > 1:
        raise NotExpressibleError("every", "this interval in one line", "a divisor of an hour, or whole hours")


def _systemd(jobs: Sequence[tuple[str, Schedule]], command: Command) -> Mapping[str, str]:
    return dict(file for job, schedule in jobs for file in systemd.units(job, schedule, command))


def _crontab(jobs: Sequence[tuple[str, Schedule]], command: Command) -> Mapping[str, str]:
    return {"crontab": "".join(f"{line}\n" for line in _crontab_lines(jobs, command))}


def _crontab_lines(jobs: Sequence[tuple[str, Schedule]], command: Command) -> Iterator[str]:
    yield "# CRON_TZ is known to cronie (Fedora, RHEL, Arch). Debian's cron reads all lines in the zone of the machine:"
    yield "# there, take another zone into the times, or use `batchsync schedule --export systemd`."
    yield "# Missed ticks are not run; the next run sends what they would have sent."
    zone = ""
    words = [f"{key}={shlex.quote(value)}" for key, value in command.environment]
    for job, schedule in jobs:
        line = shlex.join(command.words(job))
        shell = f"cd {shlex.quote(command.folder)} && {' '.join([*words, line])}".replace("%", "\\%")
        for cron in cron_lines(schedule):
            if cron.timezone != zone:
                zone = cron.timezone
                yield f"CRON_TZ={zone}"
            yield f"{cron.fields} {shell}"


def _kubernetes(jobs: Sequence[tuple[str, Schedule]], command: Command) -> Mapping[str, str]:
    return {"cronjobs.yaml": "---\n".join(_cron_job(job, schedule, command) for job, schedule in jobs)}


def _cron_job(job: str, schedule: Schedule, command: Command) -> str:
    """Return the manifest of a CronJob.

    Raises:
        NotExpressibleError: If the name of the job makes no name of a CronJob.
    """
    name = f"{_PREFIX}{job}".replace("_", "-")
    if len(name) > _NAME_MAX or name.endswith("-"):
        limit = f"a name of the job of at most {_NAME_MAX - len(_PREFIX)} characters that ends in a letter or digit"
        raise NotExpressibleError("schedule", f"the name of the job in {_NAME_MAX} characters", limit)
    (line,) = cron_lines(schedule)
    deadline = f"  startingDeadlineSeconds: {_DEADLINE}\n" if schedule.catch_up is CatchUp.NONE else ""
    arguments = "".join(f"\n                - {_quoted(word)}" for word in command.words(job)[1:])
    return f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: {_quoted(name)}
  labels: {{app.kubernetes.io/name: batchsync, batchsync/job: {_quoted(job)}}}
spec:
  # A time that the clocks skip is not run that day.
  schedule: {_quoted(line.fields)}
  timeZone: {_quoted(line.timezone)}
  concurrencyPolicy: Forbid # one run of a job at a time
{deadline}  jobTemplate:
    spec:
      backoffLimit: 0 # the next run resumes what is in flight
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: batchsync
              image: batchsync:latest # your image, with jobs.yaml or a volume that has it
              workingDir: /jobs
              args:{arguments}
              env:
                - {{name: BATCHSYNC_STATE, value: /state}}
              envFrom:
                - secretRef: {{name: batchsync}}
              volumeMounts:
                - {{name: state, mountPath: /state}}
          volumes:
            - name: state # of one node: ReadWriteOncePod, and no network file system
              persistentVolumeClaim: {{claimName: batchsync-state}}
"""


def _github(jobs: Sequence[tuple[str, Schedule]], command: Command) -> Mapping[str, str]:
    lines = {job: utc_lines(cron_lines(schedule)) for job, schedule in jobs}
    return {".github/workflows/batchsync-schedule.yaml": workflow(lines, command.options)}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: Mapping[str, Callable[[Sequence[tuple[str, Schedule]], Command], Mapping[str, str]]] = {
    SYSTEMD: _systemd,
    CRON: _crontab,
    KUBERNETES: _kubernetes,
    GITHUB: _github,
}
