"""Schedules in the formats of other schedulers have the same ticks, or are refused with their place."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from ruamel.yaml import YAML

from batchsync.core.job import Job, Source
from batchsync.core.mapping import Object, Place
from batchsync.core.schedule import CatchUp, Overlap, Schedule, parse_span
from batchsync.errors import SpecError
from batchsync.schedule import next_ticks
from batchsync.schedule.command import Command
from batchsync.schedule.cron_fields import FORMATS
from batchsync.schedule.export import export
from batchsync.schedule.systemd import calendar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMAND = Command(
    program="/opt/venv/bin/batchsync", folder="/srv/my jobs/50%", environment=(("BATCHSYNC_STATE", "/s"),)
)
START = datetime(2026, 6, 1, tzinfo=UTC)
WEEK = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
CRONS = [
    "0 2 * * *",
    "*/15 8-18 * * MON-FRI",
    "5/20 1,2 1-7 JAN,JUL *",
    "0 0 1 * MON",
    "30 23 * * 0,7",
    "0 4 * 6-8 sat",
]
EXTENDED = ["0 0 L * *", "30 2 15,L * *", "0 0 * * 5#2", "0 3 * * 5L", "0 0 */2 * MON", "0 0 * * MON#5"]
INTERVALS = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 90, 360, 1440)]


def make_job(name: str) -> Job:
    return Job(
        name=name,
        source=Source(path="rows.csv", folder="/", key=("id",)),
        connection="cdp",
        target={},
        mode="upsert",
        record=Object(()),
        spec_hash="",
        mapping_hash="",
    )


def exported(form: str, schedule: Schedule, name: str = "guests") -> Mapping[str, str]:
    return export([replace(make_job(name), schedule=schedule)], form, COMMAND)


def elapses(event: str, days: int) -> Iterator[datetime]:
    """Yield the times of a calendar event of systemd, read by the grammar of systemd.time(7) as far as it is used."""
    *weeks, date, clock, zone = event.split(" ")
    months, from_end, dom = next(iter(re.findall(r"^\*-([\d,*]+)(?:~(\S+)|-(\S+))$", date)))
    hours, minutes, seconds = clock.split(":")
    assert seconds == "00"
    info = ZoneInfo(zone)
    for number in range(days * 24 * 60):
        at = START + timedelta(minutes=number + 1)
        local = at.astimezone(info)
        last = (local.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        day, listed = (last.day - local.day + 1, from_end) if from_end else (local.day, dom)
        if listed == "07/1":
            listed = "1..7"
        pairs = ((months, local.month), (listed, day), (hours, local.hour), (minutes, local.minute))
        if all(_has(*pair) for pair in pairs) and all(WEEK[local.isoweekday() % 7] in week for week in weeks):
            yield at


def _has(listed: str, value: int) -> bool:
    """Return whether a component of a calendar event has a number."""
    for part in listed.split(","):
        first, _, last = part.partition("..")
        if part == "*" or int(first) <= value <= int(last or first):
            return True
    return False


def simulated(lines: list[tuple[str, str]], count: int) -> list[datetime]:
    """Return the first times of cron lines, each with its zone, as an independent cron has them."""
    found = set()
    for fields, zone in lines:
        times = CronSim(fields, START.astimezone(ZoneInfo(zone)))
        found |= {at.astimezone(UTC) for at in islice(times, count)}
    return sorted(found)[:count]


@pytest.mark.parametrize("cron", [*CRONS, *EXTENDED])
def test_timers_of_systemd_have_the_ticks(cron: str) -> None:
    schedule = Schedule(cron=cron, timezone="Asia/Kolkata")
    found = sorted({at for event in calendar(schedule) for at in elapses(event, 62)})
    assert found == [tick for tick in next_ticks(schedule, START, 6000) if tick <= START + timedelta(days=62)]


@pytest.mark.parametrize("every", INTERVALS)
def test_timers_of_systemd_have_the_ticks_of_intervals(every: timedelta) -> None:
    found = sorted({at for event in calendar(Schedule(every=every)) for at in elapses(event, 2)})
    assert found == list(next_ticks(Schedule(every=every), START, len(found)))
    assert len(found) == timedelta(days=2) // every


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_calendar_events_and_units(tmp_path: Path) -> None:
    schedules = [Schedule(cron=cron, timezone="Europe/Prague") for cron in [*CRONS, *EXTENDED]]
    schedules += [Schedule(every=every) for every in INTERVALS]
    events = [event for schedule in schedules for event in calendar(schedule)]
    subprocess.run(["systemd-analyze", "calendar", *events], check=True, capture_output=True)
    command = replace(COMMAND, program=shutil.which("true") or "/bin/true", folder=str(tmp_path))
    job = replace(make_job("guests"), schedule=Schedule(cron="0 2 * * *", jitter=timedelta(minutes=5)))
    for name, text in export([job], "systemd", command).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    units = [str(path) for path in sorted(tmp_path.glob("batchsync-*"))]
    verified = subprocess.run(["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_units_say_what_the_schedule_says() -> None:
    schedule = Schedule(cron="0 2 * * *", jitter=timedelta(minutes=5), catch_up=CatchUp.NONE)
    files = exported("systemd", schedule)
    service, timer = files["batchsync-guests.service"], files["batchsync-guests.timer"]
    assert "ExecStart=/opt/venv/bin/batchsync sync guests\n" in service
    assert "WorkingDirectory=/srv/my jobs/50%%\n" in service
    assert 'Environment="BATCHSYNC_STATE=/s"\n' in service
    assert "OnCalendar=*-*-* 02:00:00 UTC\nRandomizedDelaySec=300s\nFixedRandomDelay=true\n" in timer
    assert "Persistent=false" in timer
    assert "Persistent=true" in exported("systemd", Schedule(cron="0 2 * * *"))["batchsync-guests.timer"]


@pytest.mark.parametrize("schedule", [Schedule(cron=cron, timezone="Europe/Prague") for cron in CRONS])
def test_lines_of_a_crontab_have_the_ticks(schedule: Schedule) -> None:
    (text,) = exported("cron", schedule).values()
    *_, zone, line = text.splitlines()
    fields, command = " ".join(line.split(" ")[:5]), " ".join(line.split(" ")[5:])
    assert zone == "CRON_TZ=Europe/Prague"
    assert command == "cd '/srv/my jobs/50\\%' && BATCHSYNC_STATE=/s /opt/venv/bin/batchsync sync guests"
    assert simulated([(fields, "Europe/Prague")], 40) == list(next_ticks(schedule, START, 40))


@pytest.mark.parametrize("every", INTERVALS)
def test_lines_of_a_crontab_have_the_ticks_of_intervals(every: timedelta) -> None:
    (text,) = exported("cron", Schedule(every=every)).values()
    lines = [(" ".join(line.split()[:5]), "UTC") for line in text.splitlines() if "sync guests" in line]
    assert simulated(lines, 60) == list(next_ticks(Schedule(every=every), START, 60))


def test_cron_jobs_of_kubernetes_are_complete() -> None:
    schedules = {
        "guests": Schedule(cron="*/5 8 * * mon-fri", timezone="Europe/Prague"),
        "vehicle_checks": Schedule(every=timedelta(hours=6), catch_up=CatchUp.NONE, overlap=Overlap.SKIP),
    }
    jobs = [replace(make_job(name), schedule=schedule) for name, schedule in schedules.items()]
    (text,) = export(jobs, "kubernetes", COMMAND).values()
    guests, vehicles = YAML(typ="safe").load_all(text)
    assert (guests["apiVersion"], guests["kind"]) == ("batch/v1", "CronJob")
    assert guests["metadata"]["name"] == "batchsync-guests"
    assert (guests["spec"]["schedule"], guests["spec"]["timeZone"]) == ("*/5 8 * * MON-FRI", "Europe/Prague")
    assert guests["spec"]["concurrencyPolicy"] == "Forbid"
    assert "startingDeadlineSeconds" not in guests["spec"]
    pod = guests["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["args"] == ["sync", "guests"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert vehicles["metadata"]["name"] == "batchsync-vehicle-checks"
    assert vehicles["spec"]["startingDeadlineSeconds"] == 900
    assert (vehicles["spec"]["schedule"], vehicles["spec"]["timeZone"]) == ("0 */6 * * *", "UTC")


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("0 2 * * *", "UTC"),
        ("30 2 * * *", "Asia/Kolkata"),
        ("0,30 2,20 * * MON-FRI", "Asia/Tokyo"),
        ("0 1 * * SUN", "Asia/Tokyo"),
        ("45 22 * * SAT", "America/Bogota"),
        ("0 12 1,15 * *", "Asia/Tokyo"),
        ("15 * * * *", "Asia/Tokyo"),
        ("15 */2 * * *", "Asia/Kathmandu"),
    ],
)
def test_lines_of_github_have_the_ticks_in_utc(cron: str, zone: str) -> None:
    schedule = Schedule(cron=cron, timezone=zone)
    (text,) = exported("github", schedule).values()
    workflow: dict[Any, Any] = YAML(typ="safe").load(text)
    lines = [(item["cron"], "UTC") for item in workflow["on"]["schedule"]]
    assert simulated(lines, 40) == list(next_ticks(schedule, START, 40))
    condition = workflow["jobs"]["guests"]["if"]
    assert all(f'"{line}"' in condition for line, _ in lines)


NEVER = Schedule(cron="0 2 * * *", places={"schedule": Place("jobs.yaml", 7, 5), "quiet": Place("jobs.yaml", 9, 7)})
QUIET = parse_span("08:00-18:00")
assert QUIET is not None


@pytest.mark.parametrize(
    ("form", "changes", "reason"),
    [
        *[(form, {"quiet": (QUIET,)}, "`quiet`") for form in FORMATS],
        *[(form, {"window": (QUIET,)}, "`window`") for form in FORMATS],
        *[(form, {"catch_up": CatchUp.ALL}, "catch_up: all") for form in FORMATS],
        *[(form, {"cron": None, "every": timedelta(hours=7)}, "does not divide a day") for form in FORMATS],
        *[(form, {"cron": None, "every": timedelta(seconds=90)}, "seconds") for form in FORMATS],
        *[(form, {"jitter": timedelta(minutes=5)}, "`jitter`") for form in ("cron", "kubernetes", "github")],
        *[(form, {"cron": "0 0 L * *"}, "L, LW or #") for form in ("cron", "kubernetes", "github")],
        *[(form, {"cron": "0 0 */2 * 1"}, "differently") for form in ("cron", "kubernetes", "github")],
        *[(form, {"overlap": Overlap.QUEUE}, "overlap: queue") for form in ("systemd", "cron")],
        ("systemd", {"cron": "0 0 LW * *"}, "LW"),
        ("systemd", {"cron": "0 0 */2 * 1#1"}, "numbered"),
        ("github", {"overlap": Overlap.SKIP}, "overlap: skip"),
        ("github", {"timezone": "Europe/Prague"}, "clocks change"),
        ("github", {"cron": "*/2 * * * *"}, "five minutes"),
        ("github", {"cron": "0 2 1 * *", "timezone": "Asia/Tokyo"}, "days of a month"),
        ("kubernetes", {"overlap": Overlap.SKIP}, "overlap: skip"),
        ("kubernetes", {"overlap": Overlap.QUEUE, "catch_up": CatchUp.NONE}, "overlap: queue"),
        ("kubernetes", {"cron": None, "every": timedelta(minutes=90)}, "one line"),
    ],
)
def test_what_a_format_cannot_express_is_refused_with_its_place(
    form: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError) as refused:
        exported(form, replace(NEVER, **changes))
    (problem,) = refused.value.problems
    assert reason in problem.message
    assert problem.message.startswith(f"guests: {form} cannot express ")
    assert problem.expected
    assert (problem.file, problem.line) == ("jobs.yaml", 9 if "quiet" in changes else 7)


def test_every_refusal_is_reported_at_once() -> None:
    jobs = [replace(make_job(name), schedule=replace(NEVER, quiet=(QUIET,))) for name in ("guests", "vehicles")]
    with pytest.raises(SpecError) as refused:
        export(jobs, "cron", COMMAND)
    assert len(refused.value.problems) == 2


def test_long_name_is_refused_by_kubernetes_only() -> None:
    assert exported("cron", Schedule(cron="0 2 * * *"), "n" * 60)
    with pytest.raises(SpecError) as refused:
        exported("kubernetes", Schedule(cron="0 2 * * *"), "n" * 60)
    assert "name of the job" in refused.value.problems[0].message


def test_suspended_jobs_and_those_without_a_schedule_are_left_out() -> None:
    suspended = replace(make_job("guests"), schedule=Schedule(cron="0 2 * * *"), suspend=True)
    assert export([suspended, make_job("vehicles")], "systemd", COMMAND) == {}
