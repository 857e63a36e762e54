"""Vendors that are data alone, each with a small job: their mocks are derived from their folders.

The oracle recognizes the rows of their ledgers by what the job maps: the key, and the other mapped columns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import Verb
from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor
from batchsync_mocks.generic import phases, vendor_class
from batchsync_mocks.generic.api import GenericVendor
from simulation.deployment import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync_mocks.batches import Batch
    from batchsync_mocks.vendor import Vendor
    from simulation.deployment import Row, RowVersion

_EXAMPLES = Path(__file__).parents[2] / "examples"
_JOBS = """\
version: 1
connections:
  vendor:
    vendor: FOLDER
    base_url: HOST
    credentials: {CREDENTIALS}
jobs:
  JOB:
    source: {path: JOB.csv, key: id}
    target: {connection: vendor, TARGET}
    mode: MODE
    record: RECORD
    guards: {min_rows: 0, removals_after_edit: send}
"""
_COLUMNS = ("id", "name", "email")
#: SQL of the three specs of a job, and what each puts before a name
_NAMES = ("=name", "='second ' || name", "='third ' || name")
_PREFIXES = ("", "second ", "third ")


@dataclass(frozen=True)
class DataVendor:
    """A vendor that is data alone, with the job that delivers to it.

    Attributes:
        name: Name of the vendor.
        folder: Folder of its `vendor.yaml`.
        port: Port of its mock in the simulated network.
        job: Name of the job.
        text: The job as text, by what stands in capitals in the template.
        calls: Method and path of each call, as regular expression.
        stops_at: The call whose unknown outcome a person decides; None if there is none.
        retried: Text in a key that makes the vendor reject a row so that each sync sends it.
        has_removals: Whether keys that left the source are removed at the vendor.
    """

    name: str
    folder: str
    port: int
    job: str
    text: Mapping[str, str]
    calls: Mapping[str, tuple[str, str]]
    stops_at: Verb | None = None
    retried: tuple[str, ...] = ()
    has_removals: bool = False

    @property
    def url(self) -> str:
        """URL of the mock."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def mock(self) -> type[Vendor]:
        """Mock of the vendor, derived from its folder."""
        return _mock(self.folder)

    def version_of(self, entry: Mapping[str, Any]) -> RowVersion:
        """Return the version of a row in a ledger, as `DataSources.vendor_view` does."""
        return _VERSIONS[self.name](entry)

    def jobs(self, name: str) -> str:
        """Return jobs.yaml; `name` is the SQL of the mapped name."""
        text = _JOBS.replace("FOLDER", self.folder).replace("JOB", self.job)
        for word, replacement in self.text.items():
            text = text.replace(word, replacement)
        return text.replace("MAPPED", json.dumps(name))


@cache
def _mock(folder: str) -> type[Vendor]:
    return vendor_class(folder)


def _contact(entry: Mapping[str, Any]) -> RowVersion:
    columns = entry["columns"]
    return (columns["LastName"], columns["Email"], columns["Ext__c"])


def _listing(entry: Mapping[str, Any]) -> RowVersion:
    record = entry["columns"]
    if record["operationType"] == "DELETE":
        return ("delete", record["sku"])
    attributes = json.loads(record["attributes"])
    return (attributes["item_name"][0]["value"], attributes["contact"][0]["value"], record["sku"])


def _profile(entry: Mapping[str, Any]) -> RowVersion:
    columns = entry["columns"]
    return (columns["first_name"], columns["email"], columns["external_id"])


_VERSIONS = {"salesforce-bulk": _contact, "amazon-sp-feeds": _listing, "klaviyo": _profile}

SALESFORCE = DataVendor(
    name="salesforce-bulk",
    folder=str(files("batchsync_specs") / "salesforce-bulk"),
    port=1003,
    job="contacts",
    text={
        "HOST": "https://example.my.salesforce.com",
        "CREDENTIALS": 'client_id: "${A}", client_secret: "${B}"',
        "TARGET": "object: Contact, externalIdFieldName: Ext__c",
        "MODE": "upsert",
        "RECORD": "{Ext__c: =id, LastName: MAPPED, Email: =email}",
    },
    calls={
        "token": ("POST", r"^/services/oauth2/token$"),
        "check": ("GET", r"/limits$"),
        "allocate": ("POST", r"/jobs/ingest$"),
        "upload": ("PUT", r"/batches$"),
        "commit": ("PATCH", r"/jobs/ingest/[^/]+$"),
        "poll": ("GET", r"/jobs/ingest/[^/]+$"),
        "results": ("GET", r"/successfulResults/$"),
        "errors": ("GET", r"/(failedResults|unprocessedrecords)/$"),
    },
    retried=("MOCK-RETRY", "MOCK-UNPROCESSED"),
)
AMAZON = DataVendor(
    name="amazon-sp-feeds",
    folder=str(files("batchsync_specs") / "amazon-sp-feeds"),
    port=1004,
    job="listings",
    text={
        "HOST": "https://sellingpartnerapi-eu.amazon.com",
        "CREDENTIALS": 'client_id: "${A}", client_secret: "${B}", refresh_token: "${C}"',
        "TARGET": "sellerId: S1, marketplace: M1",
        "MODE": "listings",
        "RECORD": """
      sku: =id
      operationType: PARTIAL_UPDATE
      productType: PRODUCT
      attributes: {item_name: [{value: MAPPED}], contact: [{value: =email}]}
    on_removed: {mode: remove, record: {sku: =id, operationType: DELETE}}""",
    },
    calls={
        "token": ("POST", r"^/auth/o2/token$"),
        "check": ("GET", r"/feeds$"),
        "allocate": ("POST", r"/documents$"),
        "upload": ("PUT", r"^/_storage"),
        "commit": ("POST", r"/feeds$"),
        "poll": ("GET", r"/feeds/[^/]+$"),
        "look-up": ("GET", r"/documents/[^/]+$"),
        "errors": ("GET", r"^/_storage"),
    },
    stops_at=Verb.COMMIT,
    has_removals=True,
)
KLAVIYO = DataVendor(
    name="klaviyo",
    folder=str(_EXAMPLES / "klaviyo" / "vendor"),
    port=1005,
    job="profiles",
    text={
        "HOST": "https://a.klaviyo.com",
        "CREDENTIALS": 'api_key: "${A}"',
        "TARGET": "list: L1",
        "MODE": "import",
        "RECORD": "{external_id: =id, first_name: MAPPED, email: =email}",
    },
    calls={
        "upload": ("POST", r"/profile-bulk-import-jobs$"),
        "poll": ("GET", r"/profile-bulk-import-jobs/[^/]+$"),
        "errors": ("GET", r"/import-errors$"),
    },
    stops_at=Verb.UPLOAD,
)
BY_VENDOR = {vendor.name: vendor for vendor in (SALESFORCE, AMAZON, KLAVIYO)}
BY_JOB = {vendor.job: vendor for vendor in BY_VENDOR.values()}


@dataclass(frozen=True)
class Identity:
    """The id by which a client knows a batch now, and whether the vendor has its whole file."""

    id: str
    is_submitted: bool = True


def identity(vendor: Vendor, batch: Batch) -> Identity:
    """Return the identity of a batch of a mock."""
    if not isinstance(vendor, GenericVendor):
        return Identity(batch.id.lower())
    return Identity(vendor.id_of(batch).lower(), phases.submitted_at(batch, vendor.spec) is not None)


@cache
def _deployment(folder: Path, job: str, spec: int) -> Deployment:
    """Return the deployment of a job with one of its three specs."""
    file = folder / f"jobs-{job}-{spec}.yaml"
    file.write_text(BY_JOB[job].jobs(_NAMES[spec]), encoding="utf-8")
    return load(file, environ=dict.fromkeys("ABC", "x"))


@cache
def _rules(folder: str, rows_max: int) -> VendorRules:
    rules = load_vendor(folder)
    return replace(rules, file=replace(rules.file, rows_max=rows_max))


class DataSources(Sources):
    """The source of the job of a vendor that is data alone: keys with a name and an address."""

    @property
    def vendor(self) -> DataVendor:
        """The vendor of the job."""
        return BY_JOB[self.names[0]]

    @property
    def urls(self) -> dict[str, str]:
        """URL of the vendor, by its name."""
        return {self.vendor.name: self.vendor.url}

    def rules(self, _vendor: str, rows_max: int) -> VendorRules:
        """Return the rules of the vendor with this maximum number of rows in a file."""
        return _rules(self.vendor.folder, rows_max)

    def removes(self, _name: str) -> bool:
        """Return whether a key that left the source is removed at the vendor."""
        return self.vendor.has_removals

    def columns(self, _name: str) -> tuple[str, ...]:
        """Return the columns of the source."""
        return _COLUMNS

    def job(self, name: str) -> Job:
        """Return the job with its current spec and name."""
        (found,) = _deployment(self.folder, name, self.spec).jobs
        return replace(found, name=self.present(name), renamed_from=self.formers.get(name))

    def vendor_view(self, name: str, key: str) -> RowVersion:
        """Return the current version of a row as its vendor receives it."""
        row = self.rows[name][key]
        return (_PREFIXES[self.spec] + row["name"], row["email"], key)

    def invalid(self, name: str, key: str) -> bool:
        """Return whether batchsync must refuse the row: only Klaviyo's record has an address whose form is known."""
        return self.vendor is KLAVIYO and "@" not in self.rows[name][key]["email"]

    def _add(self, name: str) -> None:
        self.version += 1
        key = f"K{self.version}"
        if self.vendor.retried and self.draw.random() < 0.15:
            key = f"{self.draw.choice(self.vendor.retried)}-{self.version}"
            self.retried.add((name, key))
        self._put(name, key, bad=self.draw.random() < 0.15)

    def _put(self, name: str, key: str, *, bad: bool) -> None:
        """Give a row new content; a bad row is rejected by the vendor, or invalid."""
        self.version += 1
        row: Row = {"id": key, "name": f"name {self.version}", "email": f"k{self.version}@example.com"}
        if bad:
            row |= {"email": "no-at-sign"} if self.version % 3 == 0 else {"name": f"MOCK-REJECT {self.version}"}
        self.rows[name][key] = row
        self.history.setdefault((name, key), []).append(row)
        self.allowed[name, self.vendor_view(name, key)] += 1
