"""Credentials that a gateway quotes in its responses reach neither the output nor the state folder."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from kit.gateway import BDP, CDP, CREDENTIALS, ENCODINGS, VERBS, Gateway, gateway, leaks, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.deployment import Deployment

#: A successful first run cancels no batch, and requests for row logs carry no credential.
EXCLUDED = {(BDP, "cancel"), (CDP, "errors")}
PAIRS = [(vendor, verb) for vendor, verbs in VERBS.items() for verb in verbs if (vendor, verb) not in EXCLUDED]
STATUSES = (500, 403, 401, 503, 409, 400)
#: Number of encodings that are tried with each verb; the next verb uses the encodings that follow.
ENCODINGS_PER_VERB = 2


@pytest.fixture
def deployment_in_process(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A deployment for commands in this process; the signal handlers are restored afterwards."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield deployment
    for number, handler in handlers.items():
        signal.signal(number, handler)


def environ(proxy: Gateway, folder: Path, state: Path) -> dict[str, str]:
    """Return an environment in which connections use the gateway and the credentials that it accepts."""
    ready = folder / "ready.json"
    vendors = {proxy.vendor: {"base_url": proxy.url, "credentials": CREDENTIALS[proxy.vendor]}}
    control = {"clock_url": f"{proxy.mocks.url}/_mock/clock", "control_token": proxy.mocks.control_token}
    ready.write_text(json.dumps({"vendors": vendors, **control}), encoding="utf-8")
    return {"BATCHSYNC_MOCKS_AT": str(ready), "BATCHSYNC_STATE": str(state), "NO_COLOR": "1"}


def write_rows(folder: Path, number: int) -> None:
    """Write sources with a valid and an invalid row; each number leads to other rows and idempotency keys."""
    (folder / "guests.csv").write_text(f"id,name,email\nG1,guest,guest{number}@example.com\nG2,bad,b{number}@x.y\n")
    (folder / "vehicles.csv").write_text(f"id,vin,plate,state\nV1,1HGCM82633A{number:06d},,\nV2,SHORT{number},,\n")


@pytest.mark.parametrize(("name", "verb"), PAIRS)
def test_quoted_requests_reach_neither_output_nor_state(
    name: str, verb: str, deployment_in_process: Deployment
) -> None:
    deployment, folder = deployment_in_process, deployment_in_process.folder
    job = "vehicles" if name == BDP else "guests"
    start = ENCODINGS_PER_VERB * PAIRS.index((name, verb))
    encodings = list(ENCODINGS)
    quoted = 0
    with gateway(name, deployment.mocks) as proxy:
        for number in range(start, start + ENCODINGS_PER_VERB):
            encoding = encodings[number % len(encodings)]
            state = folder / f"state-{number}"
            write_rows(folder, number)
            if verb == "find":
                # Only a batch in doubt is searched for.
                proxy.quote("allocate", encoding, "message", 500)
            elif number % 3 == 0 and verb != "upload":
                proxy.quote(verb, encoding, "members", 200, times=2)
            else:
                proxy.quote(verb, encoding, "message", STATUSES[number % len(STATUSES)], times=2)
            env = environ(proxy, folder, state)
            output = ""
            for command in (["sync", job], ["status"], ["resume", job], ["-o", "json", "status"]):
                result = CliRunner().invoke(main, command, env=env)
                assert result.exit_code != 1, (encoding, result.output, result.exception)
                output += result.stdout + result.stderr
                if verb == "find" and command[0] == "sync":
                    quoted += proxy.quoted
                    proxy.quote("find", encoding, "message", STATUSES[number % len(STATUSES)], times=2)
            quoted += proxy.quoted
            assert not leaks(output, secrets_of(name), depth=2), (encoding, output)
            for file in state.rglob("*"):
                if file.is_file():
                    assert not leaks(file.read_bytes().decode("latin-1"), secrets_of(name), depth=1), (encoding, file)
    assert quoted >= ENCODINGS_PER_VERB
