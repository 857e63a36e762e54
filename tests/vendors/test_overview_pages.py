"""The overview page of each vendor, statement by statement: what batchsync sent and received, as the mock recorded it.

A statement is a case. Its source is the key of a page in the vendor's facts. One run per vendor is made by the real
command line; the statements are checked against what the mock recorded.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import re
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import batchsync_mocks
from batchsync.spec.vendor_spec import load_vendor
from kit.deployment import BDP, CDP, JOBS, Deployment, write_sources
from kit.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Check = Callable[[Recording], None]

STATEMENTS: dict[str, list[Any]] = {BDP: [], CDP: []}
SERVICE = "8600aa22-e4bf-4fe3-96be-7978832807a0"
PENDING = """
  pending:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch, scheduledDate: '2099-01-01T00:00:00Z'}
    mode: lookup
    record: {vin: =vin}
    results: {path: out/pending.csv}
    budget: {invalid: 5, rejected: 30}
"""
CDP_JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
    in_flight: 2
jobs:
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      email: =email
      identifiers: [{provider: CRM, id: =id}]
      extensions: [{name: ext, key: default, tier: =tier, visits: =visits::integer}]
      subscriptions:
        - {name: NEWS, channel: EMAIL, pointOfSale: shop, status: =status, effectiveDate: '2026-01-02T03:04:05.000Z'}
  orders:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: order}
    mode: insert
    record:
      referenceId: =id
      channel: WEB
      pointOfSale: shop
      status: PURCHASED
      orderedAt: '2026-01-02T03:04:05.000Z'
      currencyCode: EUR
      price: 12.5
      paymentType: Cash
      contact: {email: =email}
      orderItems: [{type: BOOK, productId: P1, name: a, description: b, vendor: c, price: 12.5, currencyCode: EUR}]
    depends_on: [guests]
  tracking:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: tracking}
    mode: insert
    record:
      serviceIdentifier: TEST_PROVIDER
      occurredAt: '2015-03-07T14:15:00.000Z'
      channel: EMAIL
      type: SENT
      uotr: c56a4180-65aa-42ec-a945-5fd21dec0538|0
      utms: {utm_medium: EMAIL, utm_source: BOXEVER, utm_term: abc}
      feedback: {reasonCode: PRICE_TOO_HIGH, notes: a note}
    depends_on: [guests]
  migrations:
    source: {path: moves.csv, key: id}
    target: {connection: sitecore, schema: migration}
    mode: guest
    record:
      migrateFrom: {identifiers: [{provider: CRM, id: =id}]}
      migrateTo: {identifiers: [{provider: CRM, id: =to}]}
    depends_on: [orders]
"""


def statement(
    vendor: str, source: str, text: str
) -> Callable[[Callable[[Recording], None]], Callable[[Recording], None]]:
    """Register a statement of a page with its check."""

    def register(check: Check) -> Check:
        STATEMENTS[vendor].append(pytest.param(check, id=f"{source}: {text}"))
        return check

    return register


@pytest.fixture(scope="module")
def motorweb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """The sequence of the diagram: list, template, create, upload, poll, results, errors; and a deletion."""
    folder = tmp_path_factory.mktemp("motorweb")
    (folder / "jobs.yaml").write_text(JOBS + PENDING.removeprefix("\n"), encoding="utf-8")
    write_sources(folder)
    with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
        seen = Recording(Deployment(folder, mocks))
        run = seen.deployment.run
        seen.printed["services"] = seen.deployment.json("vendors", "services", "motorweb")
        run("vendors", "template", "motorweb", SERVICE, "--save", "template.csv")
        run("sync", "vehicles")
        run("sync", "pending", "--no-wait", expect=5)
        mocks.advance(600)
        run("cancel", "pending")
        (folder / "jobs.yaml").write_text(
            JOBS.replace("vendor: motorweb-bdp\n", "vendor: motorweb-bdp\n    status_by: batch\n    errors_by: csv\n")
        )
        seen.printed["rejects"] = seen.deployment.json("rejects", "vehicles")["rejects"]
        seen.other = len(mocks.requests())
        write_sources(folder, vehicles=30)
        with (folder / "vehicles.csv").open("a", encoding="utf-8") as rows:
            rows.write("V99,SHORTER,,\n")
        run("sync", "vehicles")
        seen.read()
        yield seen


@pytest.fixture(scope="module")
def sitecore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Guests with extensions and subscriptions, orders, tracking events and a migration."""
    folder = tmp_path_factory.mktemp("sitecore")
    (folder / "jobs.yaml").write_text(CDP_JOBS, encoding="utf-8")
    rows = [f"G{n},g{n}@example.com,gold,{n},SUBSCRIBED" for n in range(1, 5)]
    (folder / "guests.csv").write_text("\n".join(["id,email,tier,visits,status", *rows, ""]), encoding="utf-8")
    (folder / "moves.csv").write_text("id,to\nG1,G2\n", encoding="utf-8")
    with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
        seen = Recording(Deployment(folder, mocks))
        seen.deployment.run("sync")
        seen.read()
        yield seen


# Motorweb: the diagram of the overview (P1), step by step.


@statement(BDP, "P1 step 1", "POST /auth/v1/token gives a token, which every further call carries")
def token(seen: Recording) -> None:
    assert seen.exchanges[0]["request"] == "POST /auth/v1/token"
    api = [item for item in seen.exchanges if "/batch/v1" in item["request"]]
    assert api
    assert all(item["authorised"] for item in api)


@statement(BDP, "P1 step 2", "the list of services has a UUID, a name and a description for each")
def services(seen: Recording) -> None:
    (service,) = seen.printed["services"]["options"]
    assert service["id"] == SERVICE
    assert service["name"] == "Vehicle ID WOVR Batch"
    assert service["description"]


@statement(BDP, "P1 step 3", "the template of a service is CSV")
def template(seen: Recording) -> None:
    assert (seen.deployment.folder / "template.csv").read_text() == "vin,plate,state\n"
    assert seen.exchange(r"/template$")["answer"]["content-type"].startswith("text/csv")


@statement(
    BDP, "P1 step 4", "a batch is submitted before its file; the answer is a signed URL, its expiry and the batchId"
)
def submit(seen: Recording) -> None:
    lines = [item["request"] for item in seen.exchanges]
    created = lines.index("POST /batch/v1/batches")
    assert re.match(r"PUT /_storage/user-upload/.*X-Goog-Expires=900.*X-Goog-Signature=", lines[created + 1])
    assert seen.paths("POST", "/batches") == ["/batch/v1/batches"] * 3


@statement(BDP, "P1 step 5", "the input file is uploaded to the URL, without the token")
def upload(seen: Recording) -> None:
    put = seen.exchange(r"^PUT ")
    assert (put["status"], put["authorised"]) == (200, False)
    assert put["headers"]["content-type"] == "text/csv"
    assert all(data.splitlines()[0].split(b",")[0] == b"vin" for data in seen.files)


@statement(BDP, "P1 step 6", "the status is asked for by the reports of the batch, every 15 minutes")
def status_by_reports(seen: Recording) -> None:
    first = seen.paths("GET", "/reports")[0]
    asked = [item for item in seen.requests[: seen.other] if item["path"] == first]
    assert len(asked) >= 2
    waits = [after["at"] - before["at"] for before, after in pairwise(asked)]
    assert max(waits) == pytest.approx(900, abs=60)
    between = [item["path"] for item in seen.requests if asked[0]["at"] < item["at"] < asked[1]["at"]]
    assert not any(re.search(r"/batches/[^/]+$", path) for path in between)


@statement(BDP, "P6", "the page on statuses asks the batch itself: `status_by: batch`")
def status_by_batch(seen: Recording) -> None:
    later = [item["path"] for item in seen.requests[seen.other :] if item["method"] == "GET"]
    batch = next(path for path in later if re.search(r"/batches/[^/]+$", path))
    assert later.index(batch) < later.index(f"{batch}/reports"), "the reports are asked for when the batch is done"
    assert later.count(batch) >= 3
    assert later.count(f"{batch}/reports") == 1


@statement(BDP, "P1 step 7", "a batch is deleted while it is pending")
def delete(seen: Recording) -> None:
    deleted = seen.exchange(r"^DELETE ")
    assert deleted["status"] == 200
    batches = {item["batchId"]: item["status"] for item in seen.deployment.mocks.batches(BDP)}
    assert batches[deleted["request"].rpartition("/")[2]] == "CANCELLED"


@statement(BDP, "P1 step 8", "the URL of the results comes from the same call as the status")
def result_url(seen: Recording) -> None:
    lines = [item["request"].partition("?")[0] for item in seen.exchanges]
    download = next(n for n, line in enumerate(lines) if line.startswith("GET /_storage/user-results/"))
    batch = lines[download].rpartition("/")[2].removesuffix(".csv")
    assert lines[download - 1] == f"GET /batch/v1/batches/{batch}/reports"
    assert lines.count(lines[download - 1]) >= 3


@statement(BDP, "P1 step 9", "the results are downloaded from the storage, without the token")
def download(seen: Recording) -> None:
    found = seen.exchange(r"^GET /_storage/user-results/")
    assert (found["status"], found["authorised"]) == (200, False)
    rows = list(csv.DictReader((seen.deployment.results("out/vehicles.csv")).read_text().splitlines()))
    assert len(rows) == 29


@statement(BDP, "P1 step 10", "the failed transactions are CSV: `errors_by: csv`; its columns are not documented")
def errors_as_csv(seen: Recording) -> None:
    later = [item["request"] for item in seen.exchanges[seen.other :]]
    assert any(line.endswith("/errors/download") for line in later)
    assert not any(line.endswith("/errors") for line in later)
    (reject,) = [item for item in seen.deployment.json("rejects", "vehicles")["rejects"] if item["key"] == "V99"]
    assert not reject["code"]
    assert reject["reason"].startswith("errorType: VALIDATION_ERROR; errorDescription: VIN must be")
    assert "SHORT" not in reject["reason"], "values of the source are left out"


@statement(BDP, "P5", "the failed rows are JSON, of documented members: `errors_by: json`")
def errors_as_json(seen: Recording) -> None:
    first = [item["request"] for item in seen.exchanges[: seen.other]]
    assert any(line.endswith("/errors") for line in first)
    assert not any(line.endswith("/errors/download") for line in first)
    (reject,) = seen.printed["rejects"]
    assert (reject["code"], reject["reason"][:8]) == ("VALIDATION_ERROR", "VIN must")


# Sitecore: the overview and the pages that it names.


@statement(CDP, "D:overview", "gzip files of one JSON record per line, UTF-8, at most 50 MB compressed")
def file_rules(seen: Recording) -> None:
    for data in seen.files:
        assert data[:2] == b"\x1f\x8b"
        assert len(data) < 50_000_000
        text = gzip.decompress(data).decode("utf-8")
        assert text.endswith("\n")
        assert not text.startswith(("[", "\ufeff"))
        for line in text.splitlines():
            assert sorted(json.loads(line)) == ["mode", "ref", "schema", "value"]


@statement(CDP, "D:allocate", "checksum is the lower-case MD5 of the gzip file, Content-MD5 its base64")
def checksum(seen: Recording) -> None:
    sent = {item["headers"]["content-md5"] for item in seen.exchanges if item["request"].startswith("PUT /_storage")}
    digests = [hashlib.md5(data, usedforsecurity=False).digest() for data in seen.files]
    assert sent == {base64.b64encode(digest).decode() for digest in digests}


@statement(CDP, "D:upload", "the upload is encrypted by AES256, and carries no credentials")
def upload_headers(seen: Recording) -> None:
    put = seen.exchange(r"^PUT /_storage")
    assert put["headers"]["x-amz-server-side-encryption"] == "AES256"
    assert put["headers"]["content-type"] == "application/gzip"
    assert not put["authorised"]


@statement(CDP, "D:format21", "`ref` is a UUID, different for each record")
def refs(seen: Recording) -> None:
    found = [item["ref"] for schema in ("guest", "order", "tracking", "migration") for item in seen.records(schema)]
    assert len({uuid.UUID(ref) for ref in found}) == len(found) == 13


@statement(
    CDP, "D:overview(old), S", "modes are `insert`, `upsert` and `guest`: insert of orders and events, upsert of guests"
)
def modes(seen: Recording) -> None:
    found = {(item["schema"], item["mode"]) for item in seen.deployment.mocks.ledger(CDP)}
    assert found == {("guest", "upsert"), ("order", "insert"), ("tracking", "insert"), ("migration", "guest")}
    assert {item["outcome"] for item in seen.deployment.mocks.ledger(CDP)} == {"accepted"}


@statement(CDP, "D:guest, D:guestid", "the guest model: a customer with identifiers of provider and id")
def guests(seen: Recording) -> None:
    value = seen.records("guest")[0]["value"]
    assert value["guestType"] == "customer"
    assert value["identifiers"] == [{"provider": "CRM", "id": "G1"}]


@statement(CDP, "D:guestadd", "the extension model: name ext, key default, scalar values of their type")
def extensions(seen: Recording) -> None:
    assert seen.records("guest")[0]["value"]["extensions"] == [
        {"name": "ext", "key": "default", "tier": "gold", "visits": 1}
    ]


@statement(CDP, "S", "the subscription model: name, channel, pointOfSale, status, effectiveDate")
def subscriptions(seen: Recording) -> None:
    (found,) = seen.records("guest")[0]["value"]["subscriptions"]
    assert sorted(found) == ["channel", "effectiveDate", "name", "pointOfSale", "status"]


@statement(CDP, "S", "the tracking model: serviceIdentifier, occurredAt, channel, type, uotr, utms, feedback")
def tracking(seen: Recording) -> None:
    names = ["channel", "feedback", "occurredAt", "serviceIdentifier", "type", "uotr", "utms"]
    assert [sorted(item["value"]) for item in seen.records("tracking")] == [names] * 4
    events = [item for item in seen.deployment.mocks.store(CDP) if item["kind"] == "tracking"]
    assert len(events) == 4


@statement(CDP, "D:migr, D:migruse", "a migration moves a guest's orders to another guest, and retires the first")
def migration(seen: Recording) -> None:
    guests = [item for item in seen.deployment.mocks.store(CDP) if item["kind"] == "guest"]
    orders = {item["value"]["identifiers"][0]["id"]: len(item["orders"]) for item in guests}
    assert orders == {"G2": 2, "G3": 1, "G4": 1}


@statement(CDP, "D:overview(old), S", "several batches may run in parallel: `in_flight` of a connection")
def parallel(seen: Recording) -> None:
    open_at_once, most = set[str](), 0
    for item in seen.exchanges:
        line = item["request"]
        if line.startswith("PUT /_storage"):
            open_at_once.add(line.split("/")[-2])
        most = max(most, len(open_at_once))
        if "inspect/" in line and _is_last(seen, item):
            open_at_once.discard(line.rpartition("/")[2])
    assert most == 2


@statement(CDP, "D:overview(new)", "one batch at a time: the default")
def one_at_a_time(_recording: Recording) -> None:
    assert load_vendor(CDP).policy.in_flight_max == 1


@statement(CDP, "D:status, D:list", "the status is polled until it is success, corrupted or error")
def status(seen: Recording) -> None:
    assert [item["status"] for item in seen.deployment.mocks.batches(CDP)] == ["success"] * len(seen.files)
    for item in seen.deployment.mocks.batches(CDP):
        assert len(seen.paths("GET", f"/inspect/{item['ref']}")) >= 3


def _is_last(seen: Recording, item: dict[str, Any]) -> bool:
    same = [other for other in seen.exchanges if other["request"] == item["request"]]
    return same[-1] is item


@pytest.mark.parametrize("check", STATEMENTS[BDP])
def test_statement_of_motorweb(motorweb: Recording, check: Callable[[Recording], None]) -> None:
    check(motorweb)


@pytest.mark.parametrize("check", STATEMENTS[CDP])
def test_statement_of_sitecore(sitecore: Recording, check: Callable[[Recording], None]) -> None:
    check(sitecore)
