"""The complete command `batchsync sync` against mocks in a process of their own.

`python -m benchmarks.whole SOURCE CHANGED FOLDER` prints one line of JSON each for a first load, a run without changes,
and a run over the second source, in which some rows differ. The mocks use the profile `bulk` and advance their own
clock, so waiting takes no time. At the end their ledger must contain every record as often as it was sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks import memory
from benchmarks.stages import split

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

JOBS = Path(__file__).parent / "jobs.yaml"
_VENDOR = "sitecore-cdp"
_MOCKS = ("-m", "batchsync_mocks", _VENDOR, "--auto", "--profile", "bulk", "--exit-with-stdin")
_SYNC = ("-m", "batchsync", "-o", "json", "sync", "guests")
#: Exit codes: settled, and settled with invalid rows.
_EXPECTED_EXIT_CODES = (0, 4)
_LEDGER = "/_mock/ledger?summary=1"


async def measure(source: Path, changed: Path, folder: Path) -> list[dict[str, Any]]:
    """Run a first load, a run without changes and a run with changes.

    Args:
        source: File of guests.
        changed: Copy of it with some rows changed.
        folder: Existing folder of the project and the mocks.

    Returns:
        The result of each run.

    Raises:
        SystemExit: If a run fails, or the ledger of the mocks differs from the records sent.
    """
    shutil.copyfile(JOBS, folder / "jobs.yaml")
    link = folder / f"source{source.suffix}"
    found = []
    async with serve_mocks(folder) as (mocks, url):
        for name, data in (("first load", source), ("no change", source), ("some changed", changed)):
            link.unlink(missing_ok=True)
            link.symlink_to(data.absolute())
            mocks_cpu = memory.processor_seconds(mocks.pid)
            result = await sync(folder, link)
            result["mocks_cpu"] = memory.processor_seconds(mocks.pid) - mocks_cpu
            found.append({"name": name, **result})
        _check_ledger(url, sum(result["sent"] for result in found))
    return found


@asynccontextmanager
async def serve_mocks(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """Serve the mocks during the block; yield their process and URL."""
    paths = ("--ready-file", str(folder / "ready.json"), "--state-dir", str(folder / "mocks"))
    process = await asyncio.create_subprocess_exec(sys.executable, *_MOCKS, *paths, stdin=PIPE, stdout=PIPE)
    if process.stdin is None or process.stdout is None:
        raise SystemExit("the mocks have no pipes")
    try:
        ready = json.loads(await process.stdout.readline() or "null")
        if ready is None:
            raise SystemExit("the mocks did not start")
        yield process, ready["vendors"][_VENDOR]["base_url"]
    finally:
        process.stdin.close()
        await process.wait()


async def sync(folder: Path, link: Path) -> dict[str, Any]:
    """Run `batchsync sync` once and return its counts, its duration and the seconds by stage."""
    variables = {"SOURCE": str(link), "BENCHMARK_KEY": "mock", "BENCHMARK_TOKEN": "mock"}
    variables |= {"BATCHSYNC_MOCKS": "1", "BATCHSYNC_MOCKS_AT": str(folder / "ready.json")}
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_SYNC, cwd=folder, env=_environ() | variables, stdout=PIPE, stderr=PIPE
    )
    with memory.UsageSampler(process.pid) as sampler:
        lines, output = await asyncio.gather(_read_progress(process, begin), _read_output(process))
        await process.wait()
    seconds = time.perf_counter() - begin
    if process.returncode not in _EXPECTED_EXIT_CODES:
        print("\n".join(line for _, line in lines[-5:]), file=sys.stderr)
        raise SystemExit(f"`batchsync sync` failed with exit code {process.returncode}")
    run = json.loads(output)["result"]["jobs"][0]["runs"][0]
    counts = {"rows": run["settlement"]["selected"], "sent": run["settlement"]["accepted"]}
    return counts | {"seconds": seconds, "parts": split(lines, seconds), **sampler.peak_usage()}


def _environ() -> dict[str, str]:
    """Return the environment without settings of batchsync, and with the absolute import path of this process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHSYNC_")}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    return kept | {"PYTHONPATH": path}


async def _read_progress(process: Process, begin: float) -> list[tuple[float, str]]:
    """Return the lines of standard error with the seconds since the beginning."""
    if process.stderr is None:
        return []
    return [(time.perf_counter() - begin, raw.decode(errors="replace").rstrip()) async for raw in process.stderr]


async def _read_output(process: Process) -> bytes:
    return await process.stdout.read() if process.stdout is not None else b""


def _check_ledger(url: str, sent: int) -> None:
    """Compare the number of records sent with the ledger of the mocks."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", _LEDGER)
    ledger = json.loads(connection.getresponse().read())
    connection.close()
    if (ledger["accepted"], ledger["delivered"]) != (sent, sent):
        raise SystemExit(f"{sent} records were sent, but the ledger has {ledger}")


def main() -> None:
    """Measure the runs over two sources and print their results."""
    source, changed, folder = (Path(argument) for argument in sys.argv[1:4])
    folder.mkdir(parents=True, exist_ok=True)
    for result in asyncio.run(measure(source, changed, folder)):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
