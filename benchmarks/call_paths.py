"""Size of the code that a reader meets: distinct files and functions of batchsync that are entered on three ways.

`python -m benchmarks.call_paths` prints the table; `--list WAY` prints the functions of one way by file. Each way runs
in a process of its own, so that nothing is cached, on the shipped jobs.yaml and sample data:

- compare: from row to compared, `PolarsEngine.compare` of the job `guests` with a baseline that lacks a few rows.
- load: from jobs.yaml to the deployment.
- batch: one batch of `guests` from prepared to delivered, against the bundled mock.

Methods and properties are functions. Comprehensions, generator expressions, lambdas and the bodies of classes are not
counted: they are read as part of what contains them, and newer versions of Python inline some. With PYTHONPATH set to
the folders `engine`, `specs` and `mocks` of another checkout, that one is measured.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import batchsync
from batchsync.app import App
from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RunId, Verdict
from batchsync.ports import BaselineEntry, CompareContext, Downloads, SegmentEntry
from batchsync.reconcile.describe import describe
from batchsync.reconcile.loop import WaitPolicy, drive_to_completion
from batchsync.reconcile.plan import prepare
from batchsync.settings import Settings
from benchmarks.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules

ROOT = Path(__file__).parents[1]
PACKAGE = f"{Path(batchsync.__file__).parent}{os.sep}"
NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
WAYS = {"compare": "row to compared", "load": "jobs.yaml to deployment", "batch": "batch from prepared to delivered"}
#: Rows of the sample that the baseline lacks.
_NEW_ROWS = 10
_CREDENTIALS = ("MOTORWEB_CLIENT_ID", "MOTORWEB_CLIENT_SECRET", "SITECORE_CLIENT_KEY", "SITECORE_API_TOKEN")
_JOB = "guests"
_NOTHING_KNOWN = BaselineEntry(job=_JOB, account_id="")


@contextmanager
def entered(found: dict[str, set[str]]) -> Iterator[None]:
    """Collect the functions of batchsync that are entered in the block, in this thread and in threads that it starts.

    Args:
        found: Receives the functions by file, as `name:line`, with files relative to the package.

    Yields:
        Nothing.
    """

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
        if event == "call" and is_function and code.co_filename.startswith(PACKAGE):
            functions = found.setdefault(code.co_filename.removeprefix(PACKAGE), set())
            functions.add(f"{code.co_qualname}:{code.co_firstlineno}")

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def compare(folder: Path) -> dict[str, set[str]]:
    """Return the functions of a comparison with the baseline of `write_baseline`."""
    found: dict[str, set[str]] = {}
    with App(_settings(folder)) as app:
        job, rules = _job(app)
        segments = json.loads((folder / "segments.json").read_text(encoding="utf-8"))
        engine = app.data
        baseline = replace(_NOTHING_KNOWN, segments=tuple(SegmentEntry(**fields) for fields in segments))
        with entered(found):
            engine.compare(job, rules, baseline, CompareContext(folder=folder / "work", now=NOW))
    return found


def write_baseline(folder: Path) -> dict[str, set[str]]:
    """Write the baseline of a run over the sample without its last rows, all of them accepted; return no functions."""
    with App(_settings(folder)) as app:
        job, rules = _job(app)
        lines = (Path(job.source.folder) / job.source.path).read_text(encoding="utf-8").splitlines(keepends=True)
        source = folder / "before.csv"
        source.write_text("".join(lines[:-_NEW_ROWS]), encoding="utf-8")
        before = replace(job, source=replace(job.source, path=str(source)))
        comparison = app.data.compare(before, rules, _NOTHING_KNOWN, CompareContext(folder=folder / "before", now=NOW))
        files = app.data.stage(before, rules, comparison)
        verdicts = []
        for number, file in enumerate(files):
            collected = folder / f"collected-{number}"
            collected.mkdir()
            verdicts.append(app.data.join_outcomes(_batch(number, file), rules, Downloads(), collected).path)
        baseline = app.data.apply_verdicts(_NOTHING_KNOWN, verdicts)
    segments = [asdict(segment) for segment in baseline.segments]
    (folder / "segments.json").write_text(json.dumps(segments), encoding="utf-8")
    return {}


def load(folder: Path) -> dict[str, set[str]]:
    """Return the functions from jobs.yaml to the deployment."""
    found: dict[str, set[str]] = {}
    with entered(found), App(_settings(folder)) as app:
        _ = app.deployment
    return found


def batch(folder: Path) -> dict[str, set[str]]:
    """Return the functions of all steps of one batch, from prepared to delivered."""
    found: dict[str, set[str]] = {}
    with App(_settings(folder)) as app:
        (context,), services = app.contexts([_JOB]), app.services([_JOB])
        with services.lease(_JOB), prepare(context, services, describe(context, services)) as preparation:
            while preparation.preparing:
                preparation.take(None)
            with entered(found):
                failed = drive_to_completion({_JOB: context}, services, WaitPolicy())
    if failed:
        raise SystemExit(str(failed))
    return found


def _settings(folder: Path) -> Settings:
    return Settings(file=ROOT / "jobs.yaml", state=folder / "state", mocks=True)


def _job(app: App) -> tuple[Job, VendorRules]:
    """Return the job and its vendor's rules, with the record schema that is otherwise read when it is first used."""
    (job,) = app.jobs([_JOB])
    rules = app.rules_of(job)
    rules.schema_for(job.target)
    return job, rules


def _batch(number: int, file: BatchFile) -> Batch:
    """Return a batch that the vendor has processed."""
    return Batch(
        id=BatchId(f"{_JOB}-{number}"),
        run=RunId(f"{_JOB}-1"),
        job=_JOB,
        seq=number + 1,
        file=file,
        phase=Phase.FINISHED,
        prepared_at=NOW,
        verdict=Verdict.PROCESSED,
    )


def measure(way: str, folder: Path) -> dict[str, list[str]]:
    """Return the functions of a way by file, measured in a process of its own.

    Args:
        way: One of `WAYS`.
        folder: Existing empty folder.

    Returns:
        The functions, sorted, by file.

    Raises:
        SystemExit: If the process fails.
    """
    found: dict[str, list[str]] = {}
    for step in ("write_baseline", way) if way == "compare" else (way,):
        code, output = run([sys.executable, "-m", "benchmarks.call_paths", "--step", step, str(folder)], ROOT)
        if code:
            raise SystemExit(code)
        found = json.loads(output.splitlines()[-1])
    return found


def table(measured: dict[str, dict[str, list[str]]]) -> str:
    """Return the number of files and functions of each way."""
    lines = [f"{'way':36} {'files':>6} {'functions':>10}"]
    for way, functions in measured.items():
        lines.append(f"{WAYS[way]:36} {len(functions):>6} {sum(map(len, functions.values())):>10}")
    return "\n".join(lines)


def main() -> None:
    """Print the table, the functions of one way, or (for a process of `measure`) the functions as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.call_paths", description=__doc__.splitlines()[0])
    parser.add_argument("--list", choices=WAYS, metavar="WAY", help=f"one of {', '.join(WAYS)}")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        os.environ.update(dict.fromkeys(_CREDENTIALS, "-"))
        step = {"compare": compare, "write_baseline": write_baseline, "load": load, "batch": batch}[arguments.step[0]]
        functions = step(Path(arguments.step[1]))
        print(json.dumps({file: sorted(functions[file]) for file in sorted(functions)}))
        return
    measured = {}
    for way in [arguments.list] if arguments.list else WAYS:
        with tempfile.TemporaryDirectory() as folder:
            measured[way] = measure(way, Path(folder))
    if arguments.list:
        for file, names in measured[arguments.list].items():
            print(f"{len(names):>3} {file}: {', '.join(name.rpartition(':')[0] for name in names)}")
    print(table(measured))


if __name__ == "__main__":
    main()
