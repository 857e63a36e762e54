"""`python -m benchmarks.prompt`: time of commands that a person waits for at the prompt.

Commands run on the deployment of the repository and on generated ones: many jobs, a source of many files, and many
rejects. Each is measured in a process of its own, in turn with the code of another checkout if --against names one.
Unset PYTHONDONTWRITEBYTECODE, or every command compiles all modules. No time is asserted: the machine may be busy, and
processor time and ratios say more than wall time.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import run

ROOT = Path(__file__).parents[1]
_PACKAGES = ("engine", "specs", "mocks")
_CONNECTIONS = """version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: ${SITECORE_URL:-https://api-engage-eu.sitecorecloud.io}
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
jobs:
"""
_JOB = """  {name}:
    source: {{path: {path}, key: CustomerKey}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record:
      guestType: customer
      firstName: =initcap(FirstName)
      email: =lower(EmailAddress)
      identifiers: [{{provider: CRM, id: =CustomerKey}}]
    schedule: {{every: 15m}}
"""
_HEADER = "CustomerKey,FirstName,EmailAddress\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure: its arguments, where it runs, and its goal in seconds of wall time on two quiet cores."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    goal: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the generated deployments."""

    jobs: int
    files: int
    rejects: int


def main() -> None:
    """Generate the deployments, measure every command and print the table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="batchsync-prompt-") as folder:
        known = commands(Path(folder), Sizes(arguments.jobs, arguments.files, arguments.rejects))
        chosen = [item for item in known if not arguments.only or item.name in arguments.only]
        print(f"{'command':32}{'goal s':>8}{'wall s':>8}{'cpu s':>8}{'wall/goal':>11}{'cpu ratio':>11}")
        for command in chosen:
            print(_line(command, arguments.repeat, arguments.against), flush=True)


def _arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompt", description=__doc__)
    add = parser.add_argument
    add("--jobs", type=int, default=1_000, metavar="N", help="Number of jobs (default: 1000)")
    add("--files", type=int, default=10_000, metavar="N", help="Number of files of a source (default: 10000)")
    add("--rejects", type=int, default=400_000, metavar="N", help="Number of rejects to export (default: 400000)")
    add("--repeat", type=int, default=5, metavar="N", help="Runs of each command; medians are shown (default: 5)")
    add("--only", nargs="+", metavar="NAME", help="Commands to measure (default: all)")
    add("--against", type=Path, metavar="FOLDER", help="Another checkout; the last column is processor time over its")
    return parser.parse_args()


def commands(folder: Path, sizes: Sizes) -> list[Command]:
    """Generate the deployments and return the commands to measure on them.

    Args:
        folder: Existing, empty folder for the generated deployments.
        sizes: Sizes of the deployments.
    """
    many_jobs = _deployment(folder / "jobs", {f"guests-{n:05}": 1 for n in range(sizes.jobs)}, rows=5)
    many_files = _deployment(folder / "files", {"guests": sizes.files}, rows=5)
    many_rejects = _deployment(folder / "rejects", {"guests": 1}, rows=sizes.rejects, email="no e-mail")
    # Every row is invalid, and more than the budget allows (exit code 4).
    _run(("sync", "--mocks", "--quiet"), many_rejects, ROOT)
    shipped = ("--file", str(ROOT / "jobs.yaml"), "--state", str(folder / "shipped"))
    export = ("rejects", "--mocks", "--export", "rejects.csv")
    return [
        Command("help", ("--help",), ROOT, 0.06),
        Command("status", ("status", *shipped), ROOT, 0.15),
        Command("validate", ("validate", *shipped), ROOT, 0.25),
        Command("plan", ("plan", "--mocks", *shipped), ROOT, 0.4),
        Command("jobs: validate", ("validate",), many_jobs, 2),
        Command("jobs: status", ("status",), many_jobs, 1),
        Command("jobs: plan", ("plan", "--mocks"), many_jobs, 8),
        Command("files: plan", ("plan", "--mocks"), many_files, 5),
        Command("rejects: export", export, many_rejects, 5),
    ]


def _deployment(folder: Path, jobs: dict[str, int], *, rows: int, email: str = "") -> Path:
    """Write a jobs.yaml and its sources.

    Args:
        folder: Folder to create.
        jobs: Number of source files by name of the job.
        rows: Rows of each source file.
        email: E-mail address of every row; empty for valid ones.

    Returns:
        The folder.
    """
    blocks = []
    for name, files in jobs.items():
        source = folder / name
        source.mkdir(parents=True)
        for file in range(files):
            lines = (f"{file}-{row},ann,{email or f'ann{row}@example.com'}\n" for row in range(rows))
            (source / f"{file:06}.csv").write_text(_HEADER + "".join(lines), encoding="utf-8")
        blocks.append(_JOB.format(name=name, path=f"{name}/*.csv" if files > 1 else f"{name}/000000.csv"))
    (folder / "jobs.yaml").write_text(_CONNECTIONS + "".join(blocks), encoding="utf-8")
    return folder


def _line(command: Command, repeat: int, against: Path | None) -> str:
    """Measure a command, in turn with the other checkout, and return its line of the table."""
    measured = [
        [_run(command.arguments, command.folder, tree) for tree in (ROOT, against) if tree] for _ in range(repeat)
    ]
    wall, cpu = (statistics.median(times) for times in zip(*(runs[0] for runs in measured), strict=True))
    ratio = f"{cpu / statistics.median(runs[1][1] for runs in measured):.2f}" if against else "-"
    return f"{command.name:32}{command.goal:8.2f}{wall:8.2f}{cpu:8.2f}{wall / command.goal:11.2f}{ratio:>11}"


def _run(arguments: tuple[str, ...], folder: Path, tree: Path) -> tuple[float, float]:
    """Run a command with the code of a checkout and return its wall time and processor time in seconds.

    Raises:
        SystemExit: If it fails otherwise than by more invalid rows than the budget allows.
    """
    paths = "PYTHONPATH=" + os.pathsep.join(str(tree / package) for package in _PACKAGES)
    before, start = _processor_seconds(), time.perf_counter()
    code, _ = run(["env", paths, sys.executable, "-m", "batchsync", *arguments], folder)
    wall, processor = time.perf_counter() - start, _processor_seconds() - before
    if code not in {0, 4}:
        raise SystemExit(f"batchsync {' '.join(arguments)}: exit code {code}")
    return wall, processor


def _processor_seconds() -> float:
    """Return the processor time of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
