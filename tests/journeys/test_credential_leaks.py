"""A gateway that quotes requests brings no credential onto the screen or into any byte of the state folder."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from kit.gateway import BDP, CDP, CREDENTIALS, ENCODINGS, VERBS, Gateway, gateway, leaks, secrets_of
from lading.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.deployment import Deployment

#: No batch of a first run that goes well is cancelled, and the storage of row logs is sent no credential.
LEFT_OUT = {(BDP, "cancel"), (CDP, "errors")}
PAIRS = [(vendor, verb) for vendor, verbs in VERBS.items() for verb in verbs if (vendor, verb) not in LEFT_OUT]
STATUSES = (500, 403, 401, 503, 409, 400)
#: How many encodings are tried with each verb; the next verb goes on with the next ones.
TURN = 2


@pytest.fixture
def deployment_behind(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A deployment for commands in this process, whose signal handlers are put back."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield deployment
    for number, handler in handlers.items():
        signal.signal(number, handler)


def environ(at: Gateway, folder: Path, state: Path) -> dict[str, str]:
    """Return the environment in which a connection reaches the gateway, with the credentials that it knows."""
    ready = folder / "ready.json"
    vendors = {at.vendor: {"base_url": at.url, "credentials": CREDENTIALS[at.vendor]}}
    ready.write_text(json.dumps({"vendors": vendors, "clock_url": f"{at.mocks.url}/_mock/clock"}), encoding="utf-8")
    return {"LADING_MOCKS_AT": str(ready), "LADING_STATE": str(state), "NO_COLOR": "1"}


def write_rows(folder: Path, number: int) -> None:
    """Write sources of one good and one bad row that no other number has: their batches get other tickets."""
    (folder / "guests.csv").write_text(f"id,name,email\nG1,guest,guest{number}@example.com\nG2,bad,b{number}@x.y\n")
    (folder / "vehicles.csv").write_text(f"id,vin,plate,state\nV1,1HGCM82633A{number:06d},,\nV2,SHORT{number},,\n")


@pytest.mark.parametrize(("name", "verb"), PAIRS)
def test_quoted_requests_reach_neither_output_nor_state(name: str, verb: str, deployment_behind: Deployment) -> None:
    deployment, folder = deployment_behind, deployment_behind.folder
    job = "vehicles" if name == BDP else "guests"
    start = TURN * PAIRS.index((name, verb))
    encodings = list(ENCODINGS)
    quoted = 0
    with gateway(name, deployment.mocks) as at:
        for number in range(start, start + TURN):
            encoding = encodings[number % len(encodings)]
            state = folder / f"state-{number}"
            write_rows(folder, number)
            if verb == "find":
                # What is in doubt is asked for.
                at.quote("allocate", encoding, "message", 500)
            elif number % 3 == 0 and verb != "upload":
                at.quote(verb, encoding, "members", 200, times=2)
            else:
                at.quote(verb, encoding, "message", STATUSES[number % len(STATUSES)], times=2)
            env = environ(at, folder, state)
            shown = ""
            for command in (["sync", job], ["status"], ["resume", job], ["-o", "json", "status"]):
                done = CliRunner().invoke(main, command, env=env)
                assert done.exit_code != 1, (encoding, done.output, done.exception)
                shown += done.stdout + done.stderr
                if verb == "find" and command[0] == "sync":
                    quoted += at.quoted
                    at.quote("find", encoding, "message", STATUSES[number % len(STATUSES)], times=2)
            quoted += at.quoted
            assert not leaks(shown, secrets_of(name), depth=2), (encoding, shown)
            for file in state.rglob("*"):
                if file.is_file():
                    assert not leaks(file.read_bytes().decode("latin-1"), secrets_of(name), depth=1), (encoding, file)
    assert quoted >= TURN
