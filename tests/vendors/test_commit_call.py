"""A vendor in YAML alone that takes the file through its API and processes it after a commit.

Its ledger must hold one copy of each batch, whatever happens between two calls.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from kit.plain_vendor import BLOCKS, SECRETS, spec_text, write_acme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPEC = spec_text(
    """
calls:
  - {call: allocate, method: POST, url: /jobs, json: {name: "{idempotency_key}"}, read: {id: [/id]}, source: assumed}
  - {call: upload, method: PUT, url: "/jobs/{allocation.id}/content", sends_file: true, source: assumed}
  - {call: commit, method: POST, url: "/jobs/{allocation.id}/commit", read: {id: [/import]}, source: assumed}
  - {call: poll, method: GET, url: "/state/{allocation.id}", read: {status: [/state]}, source: assumed}
""",
    file="""
  format: jsonl
  gzip: true
  suffix: .json.gz
  envelope: {op: "{mode}", meta: {key: "{ref}"}, data: "{record}", kind: "{schema}/1"}
  source: assumed""",
    policy=BLOCKS["policy"].replace("on_unknown_upload: stop", "on_unknown_allocation: take_another"),
    row_log="""
  joined_by: ref
  default_outcome: accepted
  results: false
  errors: {format: jsonl, ref: ref, code: code, message: message}
  source: assumed""",
    statuses=" {Open: empty, Queued: running, Done: processed, source: assumed}",
)


@dataclass
class Vendor:
    """The vendor's side: jobs by id, and each commit that was processed.

    `interrupt` is called as `interrupt("commit:before")` and `interrupt("commit:after")` the vendor applies a call; it
    returns true to drop the response.
    """

    uploads: dict[str, bytes] = field(default_factory=dict)
    committed: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    interrupt: Callable[[str], bool] = lambda _point: False

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        match method, path.strip("/").split("/"):
            case "POST", ["jobs"]:
                self.uploads[job := f"job-{len(self.uploads) + 1}"] = b""
                return 201, {"id": job}
            case "PUT", ["jobs", job, "content"]:
                self.uploads[job] = body
                return 201, {}
            case "POST", ["jobs", job, "commit"]:
                assert self.uploads[job], "nothing was uploaded"
                self.committed.append(job)
                return 200, {"import": job.replace("job", "import")}
            case "GET", ["state", name]:
                done = name.replace("import", "job") in self.committed
                return 200, {"state": "Done" if done else "Open"}
        return 404, {}

    def records(self) -> list[dict[str, object]]:
        """Return the processed records, one list for all commits."""
        lines = [line for job in self.committed for line in gzip.decompress(self.uploads[job]).splitlines()]
        return [json.loads(line) for line in lines]


NAMES = {"jobs": "allocate", "content": "upload", "commit": "commit", "state": "poll"}


@dataclass(frozen=True)
class Acme:
    """A folder with jobs for the vendor, and the vendor."""

    folder: Path
    vendor: Vendor

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "batchsync", *arguments]
        environ = os.environ | SECRETS
        return subprocess.Popen(
            command, cwd=self.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output + errors


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Acme]:
    vendor = Vendor()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = self.path.strip("/").split("/")
            name = NAMES[parts[0] if parts[0] == "state" else parts[-1]]
            vendor.calls.append(name)
            assert self.headers["Authorization"] == f"Bearer {SECRETS['TOKEN']}"
            if vendor.interrupt(f"{name}:before"):
                return
            status, content = vendor.handle(self.command, self.path, body)
            if vendor.interrupt(f"{name}:after"):
                return
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    for method in ("GET", "POST", "PUT"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    write_acme(tmp_path, SPEC, base_url=f"http://127.0.0.1:{server.server_port}")
    yield Acme(tmp_path, vendor)
    server.shutdown()
    server.server_close()


def test_file_is_uploaded_to_the_api_committed_and_settled(acme: Acme) -> None:
    code, output = acme.run("sync")

    assert code == 0, output
    assert "accepted 2" in output
    assert list(dict.fromkeys(acme.vendor.calls)) == ["allocate", "upload", "poll", "commit"]
    first, second = acme.vendor.records()
    assert list(first) == ["op", "meta", "data", "kind"]
    assert (first["op"], first["data"], first["kind"]) == ("upsert", {"name": "one"}, "thing/1")
    assert first["meta"] != second["meta"]
    assert acme.run("sync")[0] == 0
    assert len(acme.vendor.committed) == 1, "a second sync sends nothing"


@pytest.mark.parametrize("point", [f"{call}:{side}" for call in NAMES.values() for side in ("before", "after")])
@pytest.mark.parametrize("kill", [False, True])
def test_interrupted_call_is_not_applied_twice(acme: Acme, point: str, *, kill: bool) -> None:
    """The process is killed, or loses the response, before or after the vendor applied a call."""
    process: list[subprocess.Popen[str]] = []
    done = threading.Event()

    def interrupt(reached: str) -> bool:
        if done.is_set() or reached != point:
            return False
        done.set()
        if kill:
            process[0].send_signal(signal.SIGKILL)
        return True

    acme.vendor.interrupt = interrupt
    process.append(acme.start("sync"))
    output = "".join(process[0].communicate(timeout=60))
    assert done.is_set(), output

    code, output = acme.run("sync")

    assert code == 0, output
    assert len(acme.vendor.committed) == 1
    assert [record["data"] for record in acme.vendor.records()] == [{"name": "one"}, {"name": "two"}]


def test_commit_of_an_older_state_folder_is_not_repeated(acme: Acme) -> None:
    """A backup of the state folder from before the commit is restored after the delivery."""
    acme.vendor.interrupt = lambda point: point == "commit:before"
    acme.run("sync", "--no-wait")
    acme.vendor.interrupt = lambda _point: False
    state = acme.folder / ".batchsync"
    backup = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    assert acme.run("sync")[0] == 0
    assert len(acme.vendor.committed) == 1
    for path in [path for path in state.rglob("*") if path.is_file()]:
        path.unlink()
    for path, content in backup.items():
        path.write_bytes(content)

    assert acme.run("resume")[0] == 3
    assert acme.run("state", "accept", "--reason", "the newest copy")[0] == 0
    code, output = acme.run("resume")

    assert code == 0, output
    assert len(acme.vendor.committed) == 1


def test_batch_that_waits_for_its_commit_can_be_cancelled(acme: Acme) -> None:
    acme.vendor.interrupt = lambda point: point == "commit:before"
    acme.run("sync", "--no-wait")
    acme.vendor.interrupt = lambda _point: False
    code, output = acme.run("-o", "json", "status")
    (batch,) = json.loads(output[: output.rindex("}") + 1])["result"]["open"]
    assert (code, batch["phase"], batch["in_doubt"]) == (0, "uploaded", "commit")

    refused, output = acme.run("cancel", batch["batch"])

    assert refused == 2
    assert "with a commit in doubt" in output
    assert acme.run("resume")[0] == 0
    assert len(acme.vendor.committed) == 1
