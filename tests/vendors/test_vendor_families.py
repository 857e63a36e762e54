"""Vendors that are data alone, each against a server that is written from its public documentation for this test."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from folder_server import Received, Reply, run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from folder_server import Served

EXAMPLES = Path(__file__).parents[2] / "examples"

SALESFORCE = """
version: 1
connections:
  salesforce:
    vendor: salesforce-bulk
    base_url: BASE
    poll_every: 1s
    credentials: {client_id: "${ID}", client_secret: "${SECRET}"}
jobs:
  contacts:
    source: {path: contacts.csv, key: id}
    target: {connection: salesforce, object: Contact, externalIdFieldName: Ext__c}
    mode: upsert
    record: {Ext__c: =id, LastName: =name}
    budget: {rejected: 10}
"""
AMAZON = """
version: 1
connections:
  amazon:
    vendor: amazon-sp-feeds
    base_url: BASE
    poll_every: 1s
    credentials: {client_id: "${ID}", client_secret: "${SECRET}", refresh_token: "${REFRESH}"}
jobs:
  listings:
    source: {path: listings.csv, key: sku}
    target: {connection: amazon, sellerId: S1, marketplace: M1}
    mode: listings
    record:
      sku: =sku
      operationType: PARTIAL_UPDATE
      productType: PRODUCT
      attributes: {fulfillment_availability: [{fulfillment_channel_code: DEFAULT, quantity: =quantity}]}
    on_removed: {mode: remove, record: {sku: =sku, operationType: DELETE}}
    budget: {rejected: 10}
"""
SECRETS = {"ID": "identity-1", "SECRET": "s3cret-2", "REFRESH": "r3fresh-3", "KLAVIYO_API_KEY": "k3y-4"}


@dataclass
class Salesforce:
    """Bulk API 2.0: a job takes one upload and is processed when it is closed. Row 3 fails, row 4 is not processed."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lose_patch: bool = False

    def answer(self, request: Received, base_url: str) -> Reply:
        assert base_url
        if request.path == "/services/oauth2/token":
            assert b"grant_type=client_credentials" in request.body
            return Reply(200, {"access_token": "t0ken", "token_type": "Bearer"})
        assert request.headers["authorization"] == "Bearer t0ken"
        path = request.path.removeprefix("/services/data/v62.0/")
        match request.method, path.strip("/").split("/"):
            case "GET", ["limits"]:
                reply = Reply(200, {"DailyApiRequests": {"Max": 1}})
            case "POST", ["jobs", "ingest"]:
                name = f"750{len(self.jobs)}"
                self.jobs[name] = {"id": name, "state": "Open", **request.json()}
                reply = Reply(200, self.jobs[name])
            case "PUT", ["jobs", "ingest", name, "batches"]:
                assert "data" not in self.jobs[name], "a job takes one upload"
                self.jobs[name]["data"] = request.body.decode()
                reply = Reply(201)
            case "PATCH", ["jobs", "ingest", name]:
                assert self.jobs[name]["state"] == "Open"
                self.jobs[name]["state"] = "JobComplete"
                reply = Reply(500, {}) if self.lose_patch else Reply(200, self.jobs[name])
            case "GET", ["jobs", "ingest", name]:
                reply = Reply(200, {**self.jobs[name], "numberRecordsProcessed": 3, "numberRecordsFailed": 1})
            case "GET", ["jobs", "ingest", name, document]:
                reply = Reply(200, self._document(self.jobs[name]["data"], document))
            case _:
                reply = Reply(404, [{"errorCode": "NOT_FOUND", "message": "no such resource"}])
        return reply

    @staticmethod
    def _document(data: str, document: str) -> str:
        rows = list(csv.DictReader(io.StringIO(data)))
        first = {"successfulResults": slice(0, 2), "failedResults": slice(2, 3), "unprocessedrecords": slice(3, None)}
        head = {
            "successfulResults": {"sf__Id": "003", "sf__Created": "true"},
            "failedResults": {"sf__Id": "", "sf__Error": "REQUIRED_FIELD_MISSING:no name:LastName --"},
            "unprocessedrecords": {},
        }[document]
        out = io.StringIO()
        writer = csv.DictWriter(out, [*head, *rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**head, **row} for row in rows[first[document]])
        return out.getvalue()


@dataclass
class Amazon:
    """Feeds: a document, then a feed with an id of its own, then a report behind two look-ups."""

    documents: dict[str, bytes] = field(default_factory=dict)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    lose_commit: bool = False

    def answer(self, request: Received, base_url: str) -> Reply:
        if request.path == "/auth/o2/token":
            assert b"refresh_token=r3fresh-3" in request.body
            return Reply(200, {"access_token": "t0ken", "expires_in": 3600})
        path = request.path.partition("?")[0]
        if path.startswith("/storage/"):
            assert "x-amz-access-token" not in request.headers
            name = path.rpartition("/")[2]
            if request.method == "PUT":
                self.documents[name] = request.body
                return Reply(200)
            return Reply(200, json.loads(self.documents[name]))
        assert request.headers["x-amz-access-token"] == "t0ken"
        match request.method, path.removeprefix("/feeds/2021-06-30/").split("/"):
            case "GET", ["feeds"]:
                reply = Reply(200, {"feeds": []})
            case "POST", ["documents"]:
                name = f"doc{len(self.documents)}"
                self.documents[name] = b""
                reply = Reply(201, {"feedDocumentId": name, "url": f"{base_url}/storage/{name}?X-Amz-Signature=ab"})
            case "POST", ["feeds"]:
                wanted = request.json()
                assert wanted["marketplaceIds"] == ["M1"]
                self.feeds[f"feed{len(self.feeds)}"] = wanted
                reply = Reply(502, {}) if self.lose_commit else Reply(202, {"feedId": f"feed{len(self.feeds) - 1}"})
            case "GET", ["feeds", name] if name in self.feeds:
                reply = Reply(200, {"processingStatus": "DONE", "resultFeedDocumentId": f"report-{name}"})
            case "GET", ["documents", name]:
                feed = self.feeds[name.removeprefix("report-")]
                self.documents[name] = json.dumps(self._report(feed["inputFeedDocumentId"])).encode()
                reply = Reply(200, {"feedDocumentId": name, "url": f"{base_url}/storage/{name}?X-Amz-Signature=cd"})
            case _:
                reply = Reply(404, {"errors": [{"code": "NotFound", "message": "no such resource"}]})
        return reply

    def messages(self, document: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.documents[document])["messages"]
        return found

    def _report(self, document: str) -> dict[str, Any]:
        issues = []
        for message in self.messages(document):
            severity = {"BAD": "ERROR", "ODD": "WARNING"}.get(message["sku"])
            if severity and message["operationType"] != "DELETE":
                issue = {
                    "messageId": message["messageId"],
                    "code": "90220",
                    "severity": severity,
                    "message": "quantity",
                }
                issues.append(issue)
        return {"header": {"sellerId": "S1", "version": "2.0", "feedId": "1"}, "issues": issues}


@dataclass
class Klaviyo:
    """Bulk profile import: profiles in the body of one request, errors by position, on pages of one."""

    jobs: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: Received, base_url: str) -> Reply:
        assert request.headers["authorization"] == "Klaviyo-API-Key k3y-4"
        assert request.headers["revision"] == "2025-01-15"
        path, _, query = request.path.partition("?")
        match request.method, path.removeprefix("/api/profile-bulk-import-jobs").strip("/").split("/"):
            case "POST", [""]:
                self.jobs.append(request.json()["data"])
                return Reply(202, {"data": {"type": "profile-bulk-import-job", "id": f"J{len(self.jobs) - 1}"}})
            case "GET", [name]:
                assert int(name[1:]) < len(self.jobs)
                return Reply(200, {"data": {"attributes": {"status": "complete", "failed_count": 2}}})
            case "GET", [name, "import-errors"]:
                last = "page%5Bcursor%5D=2" in query
                pointer = f"/data/attributes/profiles/data/{2 if last else 0}/attributes/email"
                error = {"code": "invalid", "detail": "Invalid email", "source": {"pointer": pointer}}
                following = f"{base_url}{path}?page%5Bcursor%5D=2"
                links = {"next": None if last else following}
                return Reply(200, {"data": [{"type": "import-error", "attributes": error}], "links": links})
        return Reply(404, {})


def _folder(tmp_path: Path, served: Served, jobs: str, name: str, rows: str) -> Path:
    (tmp_path / "jobs.yaml").write_text(jobs.replace("BASE", served.url), encoding="utf-8")
    (tmp_path / name).write_text(rows, encoding="utf-8")
    return tmp_path


@pytest.fixture
def salesforce(tmp_path: Path) -> Iterator[tuple[Salesforce, Path]]:
    vendor = Salesforce()
    with serving(vendor) as served:
        yield vendor, _folder(tmp_path, served, SALESFORCE, "contacts.csv", "id,name\n1,a\n2,b\n3,c\n4,d\n")


@pytest.fixture
def amazon(tmp_path: Path) -> Iterator[tuple[Amazon, Path]]:
    vendor = Amazon()
    with serving(vendor) as served:
        yield vendor, _folder(tmp_path, served, AMAZON, "listings.csv", "sku,quantity\nA,1\nBAD,-1\nODD,999999\n")


def test_job_is_uploaded_closed_and_every_row_accounted_for(salesforce: tuple[Salesforce, Path]) -> None:
    vendor, folder = salesforce
    code, result = run(folder, "sync", secrets=SECRETS)
    (job,) = vendor.jobs.values()
    assert (job["object"], job["operation"], job["externalIdFieldName"]) == ("Contact", "upsert", "Ext__c")
    assert job["data"] == "Ext__c,LastName\n1,a\n2,b\n3,c\n4,d\n"
    assert code == 0, result
    counts = result["jobs"][0]["runs"][0]["settlement"]
    assert (counts["accepted"], counts["rejected"]) == (2, 2)
    _, rejects = run(folder, "rejects", "contacts", secrets=SECRETS)
    found = {item["key"]: item["code"] for item in rejects["rejects"]}
    assert found == {"3": "REQUIRED_FIELD_MISSING", "4": "unprocessed"}
    # Only the row that was not processed is sent again as it is.
    run(folder, "sync", secrets=SECRETS)
    assert [item["data"] for item in vendor.jobs.values()][1:] == ["Ext__c,LastName\n4,d\n"]


def test_close_without_answer_is_asked_about_and_not_repeated(salesforce: tuple[Salesforce, Path]) -> None:
    vendor, folder = salesforce
    vendor.lose_patch = True
    run(folder, "sync", "--no-wait", secrets=SECRETS)
    _, status = run(folder, "status", secrets=SECRETS)
    assert [item["in_doubt"] for item in status["open"]] == ["commit"]
    assert len(vendor.jobs) == 1


def test_feed_is_committed_by_its_document_and_rejected_by_message(amazon: tuple[Amazon, Path]) -> None:
    vendor, folder = amazon
    code, result = run(folder, "sync", secrets=SECRETS)
    assert code == 0, result
    (feed,) = vendor.feeds.values()
    document = json.loads(vendor.documents[feed["inputFeedDocumentId"]])
    assert document["header"] == {"sellerId": "S1", "version": "2.0"}
    assert [item["messageId"] for item in document["messages"]] == [1, 2, 3]
    assert document["messages"][0] == {
        "messageId": 1,
        "sku": "A",
        "operationType": "PARTIAL_UPDATE",
        "productType": "PRODUCT",
        "attributes": {"fulfillment_availability": [{"fulfillment_channel_code": "DEFAULT", "quantity": "1"}]},
    }
    counts = result["jobs"][0]["runs"][0]["settlement"]
    assert (counts["accepted"], counts["rejected"]) == (2, 1)
    _, rejects = run(folder, "rejects", "listings", secrets=SECRETS)
    assert [(item["key"], item["code"]) for item in rejects["rejects"]] == [("BAD", "90220")]
    (folder / "listings.csv").write_text("sku,quantity\nODD,5\n", encoding="utf-8")
    code, result = run(folder, "sync", "listings", "--allow", "max_remove=5", "--reason", "test", secrets=SECRETS)
    assert code == 0, result
    sent = vendor.messages([*vendor.feeds.values()][-1]["inputFeedDocumentId"])
    assert [(item["sku"], item["operationType"]) for item in sent] == [("ODD", "PARTIAL_UPDATE"), ("A", "DELETE")]


def test_feed_whose_creation_is_not_answered_needs_a_person(amazon: tuple[Amazon, Path]) -> None:
    vendor, folder = amazon
    vendor.lose_commit = True
    run(folder, "sync", "--no-wait", secrets=SECRETS)
    _, status = run(folder, "status", secrets=SECRETS)
    assert [item["in_doubt"] for item in status["open"]] == ["commit"]
    assert len(vendor.feeds) == 1


def test_profiles_are_sent_in_one_request_and_rejected_by_position(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "klaviyo", tmp_path, dirs_exist_ok=True)
    vendor = Klaviyo()
    with serving(vendor) as served:
        jobs = (tmp_path / "jobs.yaml").read_text(encoding="utf-8")
        jobs = jobs.replace("vendor: ./vendor\n", f"vendor: ./vendor\n    base_url: {served.url}\n    poll_every: 1s\n")
        (tmp_path / "jobs.yaml").write_text(jobs, encoding="utf-8")
        code, result = run(tmp_path, "sync", secrets=SECRETS)
        assert code == 0, result
        (job,) = vendor.jobs
        assert job["relationships"] == {"lists": {"data": [{"type": "list", "id": "EXAMPLE"}]}}
        profiles = job["attributes"]["profiles"]["data"]
        assert [item["attributes"]["external_id"] for item in profiles] == ["C1", "C2", "C3"]
        assert profiles[0]["attributes"]["properties"] == {"segment": "gold"}
        assert "properties" not in profiles[1]["attributes"]
        _, rejects = run(tmp_path, "rejects", "profiles", secrets=SECRETS)
        assert sorted(item["key"] for item in rejects["rejects"]) == ["C1", "C3"]
        assert run(tmp_path, "sync", secrets=SECRETS)[0] == 0
        assert len(vendor.jobs) == 1
