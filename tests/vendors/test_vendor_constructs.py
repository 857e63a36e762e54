"""Constructs of vendor.yaml that no bundled vendor needs, against a server of the test; and what `validate` refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest
from folder_server import Received, Reply, run, serving

from batchsync.errors import SpecError
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.call_rate import CallRate
from kit.plain_vendor import SECRETS, spec_text, write_acme

if TYPE_CHECKING:
    from pathlib import Path

SPEC = spec_text(
    """
calls:
  - call: upload
    method: POST
    url: /imports/{params.table}
    sends_file: true
    parts:
      - {name: request, json: {files: [{name: "{file.name}", columns: {first: name}}]}}
      - {name: note, text: "size {file.size}"}
      - {name: file, file: true, filename: "{file.name}", type: text/csv}
      - {name: last, text: end}
    read: {id: [/import/id]}
    source: assumed
  - call: poll
    method: GET
    url: /imports?state=all
    item: {items: /imports, at: /id, equals: "{allocation.id}"}
    read: {status: [/state]}
    source: assumed
errors:
  verdicts: [mixed]
  downloads:
    - save_as: errors.csv
      call: {method: GET, url: "/imports/{params.table}/{allocation.id}/errors", source: assumed}
  source: assumed
""",
    target=" {keys: {table: required}, default_schema: thing, source: assumed}",
    describe=' {params: {table: "{target.table}"}, source: assumed}',
)


@dataclass
class Imports:
    """A vendor that takes a file and its description in one multipart request, and lists its imports."""

    parts: list[dict[str, tuple[str, str | None, str]]] = field(default_factory=list)

    def answer(self, request: Received, base_url: str) -> Reply:
        assert base_url
        assert request.headers["authorization"] == "Bearer s3cret-t0ken"
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["imports", "T1"]:
                self.parts.append(_parts(request))
                reply = Reply(201, {"import": {"id": len(self.parts)}})
            case "GET", ["imports?state=all"]:
                done = [{"id": number + 1, "state": "Done"} for number in range(len(self.parts))]
                reply = Reply(200, {"imports": [{"id": 9, "state": "Queued"}, *done]})
            case "GET", ["imports", "T1", _, "errors"]:
                reply = Reply(200, "Key,Code,Text\n2,E1,no such thing\n")
            case _:
                reply = Reply(404, {})
        return reply


def _parts(request: Received) -> dict[str, tuple[str, str | None, str]]:
    """Return content type, file name and content of each part, read by the standard library."""
    found = {}
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    for part in message_from_bytes(head + request.body).get_payload():
        assert not isinstance(part, str)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = str(part.get_param("name", header="content-disposition"))
        found[name] = (part.get_content_type(), part.get_filename(), content.decode())
    return found


def test_file_is_a_part_of_a_body_and_the_batch_an_item_of_a_list(tmp_path: Path) -> None:
    vendor = Imports()
    with serving(vendor) as served:
        write_acme(tmp_path, SPEC, base_url=served.url, rows="id,name\n1,ä\n2,b\n")
        jobs = (tmp_path / "jobs.yaml").read_text(encoding="utf-8")
        (tmp_path / "jobs.yaml").write_text(jobs.replace("connection: acme}", "connection: acme, table: T1}"), "utf-8")
        code, result = run(tmp_path, "sync", secrets=SECRETS)
        assert code == 0, result
        _, rejects = run(tmp_path, "rejects", "things", secrets=SECRETS)
    (parts,) = vendor.parts
    assert list(parts) == ["request", "note", "file", "last"]
    kind, name, content = parts["file"]
    assert (kind, content) == ("text/csv", "name\nä\nb\n")
    assert parts["request"][0] == "application/json"
    assert json.loads(parts["request"][2]) == {"files": [{"name": name, "columns": {"first": "name"}}]}
    assert parts["note"][2] == f"size {len(content.encode())}"
    assert parts["last"][2] == "end"
    assert [(item["key"], item["code"]) for item in rejects["rejects"]] == [("2", "E1")]
    settlement = result["jobs"][0]["runs"][0]["settlement"]
    assert (settlement["accepted"], settlement["rejected"]) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"/imports/{params.table}/{allocation.id}', '"/imports/{params.table}/{token}', "unknown placeholder token"),
        ("url: /imports?state=all", "url: /imports/{file.md5}", "{file.md5} has no value in this call"),
        ("{allocation.id}/errors", "{found.url}/errors", "unknown placeholder found.url"),
        ('table: "{target.table}"', 'table: "{allocation.id}"', "{allocation.id} has no value in this call"),
        ("on_unknown_upload: stop", "on_unknown_upload: ask", "must be stop: without an allocate call"),
        ("on_unknown_upload: stop", "on_unknown_upload: take_another", "needs a commit call"),
        ("    read: {id: [/import/id]}\n", "", "must define where to read id"),
        (
            "{name: file, file: true,",
            "{name: file, text: x, file: true,",
            "must have one of json, text, file and fields",
        ),
        ("{name: last, text: end}", "{name: last, file: true}", "must contain the file once"),
        ("    parts:\n", "    json: {a: b}\n    parts:\n", "cannot be combined with json or form"),
        ("joined_by: key", "joined_by: ref", "ref needs {ref} in file.envelope"),
        ("ref: Key, ", "", "must name the member that identifies the row"),
        ("format: csv, gzip", "format: json, gzip", "must be given with format: json"),
        ("kind: header, headers", "kind: header, base_url: https://evil.example, headers", "must be one of api_hosts"),
    ],
)
def test_folder_that_cannot_work_is_refused_with_place_and_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SPEC
    write_acme(tmp_path, SPEC.replace(old, new))
    with pytest.raises(SpecError) as raised:
        load_vendor(f"{tmp_path}/acme")
    found = [problem for problem in raised.value.problems if message in problem.message]
    assert found, [problem.message for problem in raised.value.problems]
    assert all(problem.line for problem in found)


@dataclass
class _Clock:
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration.total_seconds())
        self.time += duration


def test_calls_of_any_minute_are_limited() -> None:
    clock, begun = _Clock(), []
    rate = CallRate(3, clock)
    for _ in range(8):
        rate.wait()
        begun.append(clock.now())
        clock.time += timedelta(seconds=5)
    for time in begun:
        assert sum(timedelta(0) <= other - time < timedelta(minutes=1) for other in begun) <= 3
    assert clock.slept == [45, 45]
    CallRate(None, clock).wait()
    assert len(clock.slept) == 2
