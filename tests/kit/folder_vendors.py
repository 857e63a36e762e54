"""Vendors in YAML alone, which together use most of what a vendor spec can say, and jobs that deliver to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync_mocks import Clock, serve
from kit.deployment import Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks import Running

POLICY = """
  ask_after: 1s
  poll_first: 1s
  poll_max: 30s
  poll_growth: 2
  deadline: 2d
  in_flight_max: 2
  source: assumed
"""
#: JSON lines, upload to the API, commit by another state of the same resource, row log by reference.
ACME = (
    """
version: 1
name: acme
title: Acme imports
source: assumed
connection:
  source: assumed
  api_hosts: [api.acme.example]
  base_url: https://api.acme.example
  storage_hosts: []
  credentials: [token]
  account: token
  auth: {kind: header, headers: {Authorization: "Bearer {credentials.token}"}, source: assumed}
  limits: {connect: 5s, read: 5s, whole: 1m, source: assumed}
target: {keys: {list: optional}, default_schema: thing, source: assumed}
modes: {sends: {upsert: records, delete: removals}, source: assumed}
file:
  format: jsonl
  gzip: true
  suffix: .json.gz
  envelope: {op: "{mode}", meta: {key: "{ref}"}, kind: "{schema}/1", "...": "{record}"}
  source: assumed
policy:
  on_unknown_allocation: ask
  commit_repeatable: false
"""
    + POLICY.lstrip("\n")
    + """
row_log:
  joined_by: ref
  default_outcome: accepted
  results: false
  errors: {format: jsonl, ref: /meta/key, code: code, message: message, ignored_codes: ["2"], retry_codes: [busy]}
  source: assumed
statuses:
  {Open: empty, Queued: running, Done: processed, Partly: mixed, Bad: refused, Gone: cancelled, Old: expired, source: a}
describe:
  check: {method: GET, url: "/jobs?limit=1", source: assumed}
  params: {list: "{target.list?}", operation: "{mode}"}
  source: assumed
calls:
  - call: allocate
    method: PUT
    url: "/jobs/{idempotency_key}"
    json: {import: {operation: "{params.operation}", list: "{params.list?}", size: "{file.size}"}}
    responses: [{status: 409, means: outcome_unknown, source: assumed}]
    read: {id: [/job/id]}
    source: assumed
  - call: find
    method: GET
    url: "/jobs/{idempotency_key}"
    responses: [{status: 404, means: absent, source: assumed}]
    read: {id: [/job/id]}
    source: assumed
  - {call: upload, method: PUT, url: "/jobs/{allocation.id}/content", sends_file: true, source: assumed}
  - {call: commit, method: PATCH, url: "/jobs/{allocation.id}", json: {state: Complete}, source: assumed}
  - call: poll
    method: GET
    url: "/jobs/{allocation.id}"
    responses: [{status: 404, means: absent, source: assumed}]
    read: {status: [/job/state]}
    source: assumed
  - {call: cancel, method: PATCH, url: "/jobs/{allocation.id}", json: {state: Aborted}, source: assumed}
errors:
  verdicts: [processed, mixed]
  downloads:
    - save_as: errors.jsonl
      call: {method: GET, url: "/jobs/{allocation.id}/errors", source: assumed}
  source: assumed
"""
)
#: CSV, tokens, upload to a signed URL, results and row logs by inputs, rows that were not processed.
TABLES = (
    """
version: 1
name: tables
title: Tables
source: assumed
connection:
  source: assumed
  api_hosts: [api.tables.example, login.tables.example]
  base_url: https://api.tables.example
  storage_hosts: [files.tables.example]
  credentials: [client, secret]
  account: client
  auth:
    kind: oauth2_client_credentials
    base_url: https://login.tables.example
    headers: {Authorization: "Bearer {token}", X-Client: "{credentials.client}"}
    token:
      method: POST
      url: /oauth/token
      form: {grant_type: client_credentials, client_id: "{credentials.client}", client_secret: "{credentials.secret}"}
      read: {token: [/access/token], seconds: [/access/expires]}
      source: assumed
    source: assumed
  limits: {connect: 5s, read: 5s, whole: 1m, source: assumed}
target: {keys: {}, default_schema: thing, source: assumed}
modes: {sends: {upsert: records}, source: assumed}
file: {format: csv, gzip: false, suffix: .csv, source: assumed}
policy:
  on_unknown_allocation: take_another
"""
    + POLICY.lstrip("\n")
    + """
row_log:
  joined_by: inputs
  default_outcome: unknown
  results: true
  errors: {format: csv, code: _error, message: _error, code_until: ":", retry_codes: [BUSY]}
  tables: {delimiter: ";"}
  source: assumed
statuses: {open: empty, running: running, done: processed, failed: refused, source: assumed}
describe: {source: assumed}
calls:
  - call: allocate
    method: POST
    url: /batches
    json: {name: "sync-{idempotency_key}", kind: things}
    read: {id: [/id], url: [/upload/href], expires_at: [/upload/until]}
    source: assumed
  - call: upload
    method: PUT
    url: "{allocation.url}"
    endpoint: storage
    sends_file: true
    headers: {Content-MD5: "{file.md5_base64}"}
    responses: [{status: 403, body_contains: expired, means: expired, source: assumed}]
    source: assumed
  - {call: poll, method: GET, url: "/batches?id={allocation.id}", read: {status: [/0/state]}, source: assumed}
results:
  save_as: results.csv
  counter: /0/good
  locate: {method: GET, url: "/batches/{allocation.id}/files", read: {url: [/good]}, source: assumed}
  call:
    method: GET
    url: "{found.url}"
    endpoint: storage
    responses: [{status: 403, means: expired, source: assumed}]
    source: assumed
  source: assumed
errors:
  verdicts: [processed]
  counters: [/0/bad]
  downloads:
    - save_as: errors.csv
      locate: {method: GET, url: "/batches/{allocation.id}/files", read: {bad: [/bad]}, source: assumed}
      call:
        method: GET
        url: "{found.bad}"
        endpoint: storage
        responses: [{status: 403, means: expired, source: assumed}]
        source: assumed
  source: assumed
unprocessed:
  save_as: rest.csv
  call: {method: GET, url: "/batches/{allocation.id}/rest", source: assumed}
  source: assumed
"""
)
#: One JSON document that is submitted at once, polled in a list; a row log by number behind two look-ups.
FEEDS = (
    """
version: 1
name: feeds
title: Feeds
source: assumed
connection:
  source: assumed
  api_hosts: [api.feeds.example]
  base_url: https://api.feeds.example
  storage_hosts: [files.feeds.example]
  credentials: [user, password]
  account: user
  auth: {kind: basic, user: user, password: password, source: assumed}
  limits: {connect: 5s, read: 5s, whole: 1m, source: assumed}
target: {keys: {shop: required}, default_schema: thing, source: assumed}
modes: {sends: {upsert: records}, source: assumed}
file:
  format: json
  gzip: false
  suffix: .json
  document: {header: {shop: "{target.shop}"}, data: {items: "{records}"}}
  envelope: {number: "{ref}", attributes: "{record}"}
  reference: number
  source: assumed
policy:
  on_unknown_allocation: stop
  on_unknown_upload: stop
"""
    + POLICY.lstrip("\n")
    + """
row_log:
  joined_by: row
  first_row: 0
  default_outcome: accepted
  results: false
  errors:
    format: json
    items: /issues/list
    ref: /at/pointer
    ref_pattern: "^/data/items/([0-9]+)(?:/.*)?$"
    code: code
    message: detail
    only: {severity: [ERROR, FATAL]}
    retry_codes: [BUSY]
  source: assumed
statuses: {queued: running, complete: processed, partial: mixed, invalid: refused, source: assumed}
describe: {source: assumed}
calls:
  - call: upload
    method: POST
    url: /feeds
    sends_file: true
    headers: {Content-Type: application/json}
    responses: [{status: 202, means: ok, source: assumed}]
    read: {id: [/data/id]}
    source: assumed
  - call: poll
    method: GET
    url: "/feeds?ids={allocation.id}"
    item: {items: /data, at: /id, equals: "{allocation.id}"}
    read: {status: [/attributes/status]}
    source: assumed
errors:
  verdicts: [processed, mixed]
  downloads:
    - save_as: issues.json
      locate:
        - {method: GET, url: "/feeds/{allocation.id}", read: {report: [/data/report]}, source: assumed}
        - {method: GET, url: "/reports/{found.report}", read: {url: [/url]}, source: assumed}
      call: {method: GET, url: "{found.url}", endpoint: storage, source: assumed}
      pages: {next: /links/next}
  source: assumed
"""
)
THING = """
version: 1
name: thing
source: assumed
modes: [MODES]
fields:
  id: {kind: string, required_in: ["*"], pattern: "^[A-Z]", source: assumed}
  name: {kind: string, max_length: 20, source: assumed}
"""
JOBS = """\
version: 1
connections: {NAME: {vendor: ./NAME, credentials: CREDENTIALS}}
jobs:
  things:
    source: {path: things.csv, key: id}
    target: {connection: NAMETARGET}
    mode: upsert
    record: {id: =id, name: =name}
    budget: {invalid: 5, rejected: 5}
"""
VENDORS = {"acme": ACME, "tables": TABLES, "feeds": FEEDS}
_CREDENTIALS = {
    "acme": '{token: "${T}"}',
    "tables": '{client: "${C}", secret: "${S}"}',
    "feeds": '{user: "${U}", password: "${P}"}',
}
START = "2026-01-01T00:00:00Z"


def write_vendor(folder: Path, name: str) -> Path:
    """Write the folder of a vendor; return it."""
    vendor = folder / name
    (vendor / "records").mkdir(parents=True)
    (vendor / "vendor.yaml").write_text(VENDORS[name], encoding="utf-8")
    modes = "upsert, delete" if name == "acme" else "upsert"
    (vendor / "records" / "thing.yaml").write_text(THING.replace("MODES", modes), encoding="utf-8")
    return vendor


def write_jobs(folder: Path, name: str, names: dict[str, str]) -> None:
    """Write jobs.yaml for a vendor, and things.csv with names by id."""
    target = ", shop: s1" if name == "feeds" else ""
    jobs = JOBS.replace("CREDENTIALS", _CREDENTIALS[name]).replace("NAMETARGET", name + target).replace("NAME", name)
    if name == "acme":
        jobs += "    on_removed: delete\n"
    (folder / "jobs.yaml").write_text(jobs, encoding="utf-8")
    write_things(folder, names)


def write_things(folder: Path, names: dict[str, str]) -> None:
    """Write things.csv."""
    lines = ["id,name", *(f"{key},{value}" for key, value in names.items())]
    (folder / "things.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def deploy(folder: Path, name: str, names: dict[str, str], mocks: Running | None = None) -> Deployment:
    """Return a deployment of one job to a vendor of a folder, whose mock is served unless it is given."""
    vendor = folder / name if (folder / name).exists() else write_vendor(folder, name)
    write_jobs(folder, name, names)
    clock = Clock(START, frozen=True, auto=True)
    return Deployment(folder, mocks or serve([str(vendor)], clock=clock, seed=1))
