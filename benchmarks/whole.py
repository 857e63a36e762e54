"""A whole `batchsync sync`, as its user runs it, against mocks in a process of their own.

`python -m benchmarks.whole SOURCE CHANGED FOLDER` prints one line of JSON each for a first load, a run that finds no
change, and a run over the second source, in which some rows differ. The mocks count in bulk and turn their clock by
themselves, so waiting takes no time. In the end their ledger must have every record once for each time it was sent.
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
#: Done, and done with some rows invalid.
_GOOD = (0, 4)
_LEDGER = "/_mock/ledger?summary=1"


async def measure(source: Path, changed: Path, folder: Path) -> list[dict[str, Any]]:
    """Return what each of the three runs took and sent.

    Raises:
        SystemExit: a run failed, or the ledger does not agree with what was sent.
    """
    shutil.copyfile(JOBS, folder / "jobs.yaml")
    link = folder / f"source{source.suffix}"
    found = []
    async with _mocks(folder) as (mocks, url):
        for name, data in (("first load", source), ("no change", source), ("some changed", changed)):
            link.unlink(missing_ok=True)
            link.symlink_to(data.absolute())
            served = memory.processor_seconds(mocks.pid)
            one = await _sync(folder, link)
            one["mocks_cpu"] = memory.processor_seconds(mocks.pid) - served
            found.append({"name": name, **one})
        _check(url, sum(item["sent"] for item in found))
    return found


@asynccontextmanager
async def _mocks(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """Serve the mocks while the block runs; gives their process and address."""
    places = ("--ready-file", str(folder / "ready.json"), "--state-dir", str(folder / "mocks"))
    process = await asyncio.create_subprocess_exec(sys.executable, *_MOCKS, *places, stdin=PIPE, stdout=PIPE)
    if process.stdin is None or process.stdout is None:
        raise SystemExit("the mocks have no pipes")
    try:
        ready = json.loads(await process.stdout.readline() or "null")
        if ready is None:
            raise SystemExit("the mocks do not start")
        yield process, ready["vendors"][_VENDOR]["base_url"]
    finally:
        process.stdin.close()
        await process.wait()


async def _sync(folder: Path, link: Path) -> dict[str, Any]:
    """Run `batchsync sync` once, noting when it says what."""
    told = {"SOURCE": str(link), "BENCHMARK_KEY": "mock", "BENCHMARK_TOKEN": "mock"}
    mocked = {"BATCHSYNC_MOCKS": "1", "BATCHSYNC_MOCKS_AT": str(folder / "ready.json")}
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_SYNC, cwd=folder, env=_environ() | told | mocked, stdout=PIPE, stderr=PIPE
    )
    with memory.Watched(process.pid) as watched:
        lines, said = await asyncio.gather(_heard(process, begin), _read(process))
        await process.wait()
    seconds = time.perf_counter() - begin
    if process.returncode not in _GOOD:
        print("\n".join(line for _, line in lines[-5:]), file=sys.stderr)
        raise SystemExit(f"`batchsync sync` ended with {process.returncode}")
    run = json.loads(said)["result"]["jobs"][0]["runs"][0]
    counts = {"rows": run["settlement"]["selected"], "sent": run["settlement"]["accepted"]}
    return counts | {"seconds": seconds, "parts": split(lines, seconds), **watched.high_water()}


def _environ() -> dict[str, str]:
    """Return our environment without what would set batchsync up, and with our own path made absolute."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHSYNC_")}
    path = os.pathsep.join(str(Path(item).absolute()) for item in sys.path if item)
    return kept | {"PYTHONPATH": path}


async def _heard(process: Process, begin: float) -> list[tuple[float, str]]:
    """Return the lines of standard error with the seconds since the beginning."""
    if process.stderr is None:
        return []
    return [(time.perf_counter() - begin, raw.decode(errors="replace").rstrip()) async for raw in process.stderr]


async def _read(process: Process) -> bytes:
    return await process.stdout.read() if process.stdout is not None else b""


def _check(url: str, sent: int) -> None:
    """Hold what was sent against the ledger."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", _LEDGER)
    ledger = json.loads(connection.getresponse().read())
    connection.close()
    if (ledger["accepted"], ledger["delivered"]) != (sent, sent):
        raise SystemExit(f"{sent} records were sent, and the ledger says {ledger}")


def main() -> None:
    """Measure what the command line says."""
    source, changed, folder = (Path(item) for item in sys.argv[1:4])
    folder.mkdir(parents=True, exist_ok=True)
    for item in asyncio.run(measure(source, changed, folder)):
        print(json.dumps(item))


if __name__ == "__main__":
    main()
