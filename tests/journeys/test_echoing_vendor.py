"""A server that quotes every request it gets, in every encoding: no secret is printed, or stored anywhere in the state.

The state is searched after SIGKILL: every file, raw and decompressed, with the free pages of the journal and its WAL.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import polars as pl
import pytest
from click.testing import CliRunner

import batchsync_mocks
from batchsync.cli import main
from batchsync_mocks import profiles
from kit.gateway import BDP, CDP, CREDENTIALS, ENCODINGS, Gateway, gateway, leaks, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.deployment import Deployment

ROUNDS = 12


def environ(proxy: Gateway, folder: Path) -> dict[str, str]:
    """Return an environment in which connections use the gateway and the credentials that it accepts."""
    ready = folder / "ready.json"
    vendors = {proxy.vendor: {"base_url": proxy.url, "credentials": CREDENTIALS[proxy.vendor]}}
    control = {"clock_url": f"{proxy.mocks.url}/_mock/clock", "control_token": proxy.mocks.control_token}
    ready.write_text(json.dumps({"vendors": vendors, **control}), encoding="utf-8")
    return {"BATCHSYNC_MOCKS_AT": str(ready), "BATCHSYNC_STATE": str(folder / "state"), "NO_COLOR": "1"}


def write_rows(folder: Path, number: int) -> None:
    """Write sources with a valid and an invalid row that differ from those of other rounds."""
    (folder / "guests.csv").write_text(f"id,name,email\nG1,guest,guest{number}@example.com\nG2,bad,b{number}@x.y\n")
    (folder / "vehicles.csv").write_text(f"id,vin,plate,state\nV1,1HGCM82633A{number:06d},,\nV2,SHORT{number},,\n")


def texts_of(file: Path) -> Iterator[str]:
    """Yield the bytes of a file, and what they are when decompressed, as text."""
    data = file.read_bytes()
    yield data.decode("latin-1")
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data).decode("latin-1")
    if data.startswith(b"PAR1"):
        yield repr(pl.read_parquet(io.BytesIO(data)).rows())


@pytest.fixture
def in_folder(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A deployment for commands in this process; the signal handlers are restored afterwards."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield deployment
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("name", "job"), [(BDP, "vehicles"), (CDP, "guests")])
def test_secrets_reach_no_output_and_no_byte_of_the_state(name: str, job: str, in_folder: Deployment) -> None:
    folder = in_folder.folder
    with gateway(name, in_folder.mocks) as proxy:
        env, output = environ(proxy, folder), ""
        for number in range(ROUNDS):
            write_rows(folder, number)
            proxy.echoes = 2
            proxy.echoed.clear()
            for command in (["sync", job], ["resume", job], ["status"], ["-o", "json", "status"], ["rejects", job]):
                result = CliRunner().invoke(main, command, env=env)
                assert result.exit_code != 1, (command, result.output, result.exception)
                output += result.stdout + result.stderr
            if set(proxy.used) == set(ENCODINGS):
                break
        assert set(proxy.used) == set(ENCODINGS)
        output += kill_while_echoing(proxy, env | {"BATCHSYNC_STATE": str(folder / "killed")}, folder, job)
        secrets = secrets_of(name) | {f"signature {text[:24]}": text for text in proxy.signatures}
    assert any(found.startswith("signature") for found in secrets)
    assert not leaks(output, secrets, depth=2)
    files = [file for state in ("state", "killed") for file in (folder / state).rglob("*") if file.is_file()]
    assert [file for file in files if file.name.endswith("-wal") and file.stat().st_size], "the WAL was searched"
    assert [
        (file, found) for file in files for text in texts_of(file) if (found := leaks(text, secrets, depth=2))
    ] == []


@pytest.mark.parametrize("profile", [name for name in profiles.names() if profiles.profile(name).faults])
def test_faults_of_vendors_bring_no_secret_into_output_and_state(profile: str, in_folder: Deployment) -> None:
    folder = in_folder.folder
    with batchsync_mocks.serve(state_dir=folder / "faulty", profile=profile, seed=1) as mocks:
        for name, job in ((BDP, "vehicles"), (CDP, "guests")):
            write_rows(folder, 1)
            with gateway(name, mocks) as proxy:
                env = environ(proxy, folder)
                result = CliRunner().invoke(main, ["sync", job, "--timeout", "6h"], env=env)
                output = result.stdout + result.stderr
                assert result.exit_code not in (1, 2), (output, result.exception)
                secrets = secrets_of(name) | {f"signature {text[:24]}": text for text in proxy.signatures}
            assert not leaks(output, secrets, depth=2)
            files = [file for file in (folder / "state").rglob("*") if file.is_file()]
            assert [
                (file, found) for file in files for text in texts_of(file) if (found := leaks(text, secrets, depth=2))
            ] == []
        assert any(item["hits"] for item in mocks.faults()), "no fault struck"


def kill_while_echoing(proxy: Gateway, env: dict[str, str], folder: Path, job: str) -> str:
    """Start a sync, kill it when some of its requests were quoted and journaled; return its output."""
    write_rows(folder, ROUNDS)
    proxy.echoes, proxy.statuses = 10, (503,)
    proxy.echoed.clear()
    # The first calls of a process, about no batch, pass.
    proxy.echoed.update(dict.fromkeys(("token", "choice", "template", "check"), proxy.echoes))
    before, log = len(proxy.used), folder / "killed.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "batchsync", "sync", job]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=out, stderr=out)
        ends_at = time.monotonic() + 60
        try:
            while len(proxy.used) < before + 2 and process.poll() is None:
                assert time.monotonic() < ends_at, "no request was quoted"
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == -signal.SIGKILL
    return log.read_text(encoding="utf-8")
