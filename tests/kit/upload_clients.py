"""A batch of Sitecore's mock to upload to, and programs of other environments that do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync_mocks import Running

SITECORE = "sitecore-cdp"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A batch that waits for its file."""

    mocks: Running
    ref: str
    href: str
    file: Path
    md5: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the upload."""
        return {"x-amz-server-side-encryption": "AES256", "Content-Md5": self.md5}

    def status(self) -> str:
        """Return the status of the batch after its time of processing."""
        self.mocks.advance(15)
        return str(next(item["status"] for item in self.mocks.batches(SITECORE) if item["ref"] == self.ref))


def allocated(mocks: Running, folder: Path, *, rows: int = 20_000) -> Slot:
    """Allocate a batch for a file that is written to a folder; it is larger than what curl sends without asking."""
    records = (
        {
            "ref": str(uuid.uuid4()),
            "schema": "guest",
            "mode": "upsert",
            "value": {"identifiers": [{"provider": "CRM", "id": str(number)}]},
        }
        for number in range(rows)
    )
    data = gzip.compress("\n".join(map(json.dumps, records)).encode(), compresslevel=1)
    digest = hashlib.md5(data, usedforsecurity=False)
    file, ref, key = folder / "import.json.gz", str(uuid.uuid4()), mocks.credentials(SITECORE)
    file.write_bytes(data)
    body = {"checksum": digest.hexdigest(), "size": len(data)}
    url, auth = f"{mocks.urls[SITECORE]}/v2/batches/{ref}", (key["client_key"], key["api_token"])
    with requests.Session() as session:
        session.trust_env = False
        answer = session.put(url, json=body, auth=auth, verify=str(mocks.ca) if mocks.ca else True, timeout=20)
    href = answer.json()["location"]["href"]
    return Slot(mocks=mocks, ref=ref, href=href, file=file, md5=base64.b64encode(digest.digest()).decode())


def output_of(command: Sequence[str | Path], given: Mapping[str, Any] | None = None, **variables: str) -> str:
    """Run a program with JSON on its standard input; return what it printed.

    Args:
        command: Program and arguments.
        given: What it reads.
        variables: Further variables of its environment.
    """
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [str(word) for word in command],
        input=json.dumps(given or {}),
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python_beside() -> Path:
    """Return the interpreter of the environment with botocore and httpx, which `make test-servers` makes."""
    return Path(f"{sys.prefix}-moto") / "bin" / "python"
