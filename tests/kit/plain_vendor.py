"""The plainest vendor of a folder, `acme`: a test states its calls, and the blocks that it needs otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Blocks of a `vendor.yaml` by name, in its order. Without an allocate call, `policy` needs `on_unknown_upload: stop`.
BLOCKS = {
    "connection": """
  api_hosts: [127.0.0.1]
  storage_hosts: []
  credentials: [token]
  account: token
  auth: {kind: header, headers: {Authorization: "Bearer {credentials.token}"}, source: assumed}
  limits: {connect: 5s, read: 5s, whole: 1m, source: assumed}
  source: assumed""",
    "target": " {keys: {}, default_schema: thing, source: assumed}",
    "modes": " {sends: {upsert: records}, source: assumed}",
    "file": " {format: csv, gzip: false, suffix: .csv, source: assumed}",
    "policy": """
  on_unknown_upload: stop
  ask_after: 1s
  poll_first: 1s
  poll_max: 1s
  poll_growth: 1
  deadline: 1h
  in_flight_max: 1
  source: assumed""",
    "row_log": """
  joined_by: key
  default_outcome: accepted
  results: false
  errors: {format: csv, ref: Key, code: Code, message: Text}
  source: assumed""",
    "statuses": " {Queued: running, Done: mixed, source: assumed}",
    "describe": " {source: assumed}",
}
HEAD = "version: 1\nname: acme\ntitle: Acme imports\nsource: assumed\n"
THING = """\
version: 1
name: thing
source: assumed
modes: [upsert]
fields:
  name: {kind: string, required_in: [upsert], source: assumed}
"""
JOBS = """\
version: 1
connections: {acme: {vendor: ./acme, base_url: "BASE", credentials: {token: "${TOKEN}"}}}
jobs:
  things:
    source: {path: things.csv, key: id}
    target: {connection: acme}
    mode: upsert
    record: {name: =name}
    budget: {rejected: 5}
"""
SECRETS = {"TOKEN": "s3cret-t0ken"}


def spec_text(calls: str, **blocks: str) -> str:
    """Return a `vendor.yaml`.

    Args:
        calls: The text from `calls:` on, with all that follows.
        blocks: Blocks that differ from the plain ones, by name, as what stands behind the colon.
    """
    assert set(blocks) <= set(BLOCKS)
    return HEAD + "".join(f"{name}:{text}\n" for name, text in (BLOCKS | blocks).items()) + calls.lstrip("\n")


def write_acme(folder: Path, spec: str, *, base_url: str = "", rows: str = "id,name\n1,one\n2,two\n") -> None:
    """Write the vendor's folder, a jobs.yaml with the job `things`, and its source.

    Args:
        folder: The folder of jobs.yaml.
        spec: The `vendor.yaml`.
        base_url: Base URL of the connection; without it, no jobs.yaml is written.
        rows: Content of things.csv.
    """
    (folder / "acme" / "records").mkdir(parents=True, exist_ok=True)
    (folder / "acme" / "vendor.yaml").write_text(spec, encoding="utf-8")
    (folder / "acme" / "records" / "thing.yaml").write_text(THING, encoding="utf-8")
    (folder / "things.csv").write_text(rows, encoding="utf-8")
    if base_url:
        (folder / "jobs.yaml").write_text(JOBS.replace("BASE", base_url), encoding="utf-8")
