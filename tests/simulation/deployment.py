"""Two or three small jobs in a folder in memory, and the edits of their sources and specs.

`allowed` counts how often each version of each row may arrive at its vendor: once for each time that it was written.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules

BDP, CDP = "motorweb-bdp", "sitecore-cdp"
VENDOR_OF = {"vehicles": BDP, "guests": CDP, "members": CDP}
#: vendors that are data alone (`data_vendors`)
VENDOR_OF |= {"contacts": "salesforce-bulk", "listings": "amazon-sp-feeds", "profiles": "klaviyo"}
URLS = {BDP: "http://127.0.0.1:1001", CDP: "http://127.0.0.1:1002"}
ENVIRON = dict.fromkeys(("MOTORWEB_CLIENT_ID", "MOTORWEB_CLIENT_SECRET", "CLIENT_KEY", "API_TOKEN"), "x")
_CONNECTIONS = """\
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    base_url: https://api.tst.motorweb.app
    credentials: {client_id: "${MOTORWEB_CLIENT_ID}", client_secret: "${MOTORWEB_CLIENT_SECRET}"}
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${CLIENT_KEY}", api_token: "${API_TOKEN}"}
jobs:
  vehicles:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch}
    mode: lookup
    record: {vin: TRIMMED, plate: =plate, state: =state}
    results: {path: out/vehicles.csv, on_removed: remove}
    guards: {min_rows: 0, removals_after_edit: send}
"""
_SITECORE = """\
  NAME:
    source: {path: NAME.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =initcap(name)
      lastName: SPEC
      email: =lower(email)
      identifiers: [{provider: NAME, id: =id}]
    on_removed: REMOVED
    guards: {min_rows: 0, removals_after_edit: send}
"""
_COLUMNS = {"vehicles": ("id", "vin", "plate", "state"), "guests": ("id", "name", "email")}
_COLUMNS["members"] = _COLUMNS["guests"]
Row = dict[str, str]
RowVersion = tuple[str, ...]
#: Names and values of settings of a connection.
Settings = tuple[tuple[str, str], ...]


def logical(job: str) -> str:
    """Return the first name of a job that was perhaps renamed: its sources and the oracle know it by that."""
    return job.partition("-")[0]


def vendor_of(job: str) -> str:
    """Return the vendor of a job, under any of its names."""
    return VENDOR_OF[logical(job)]


@cache
def _loaded(folder: Path, spec: int) -> Deployment:
    """Return the deployment with one of its three specs. The folder is the same for every seed of a process."""
    text = _CONNECTIONS.replace("TRIMMED", ["=upper(trim(vin))", "=upper(vin)", "=trim(upper(vin))"][spec])
    for name, removed in (("guests", "delete"), ("members", "ignore")):
        text += _SITECORE.replace("NAME", name).replace("SPEC", f"spec {spec}").replace("REMOVED", removed)
    file = folder / f"jobs-{spec}.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ=ENVIRON)


@cache
def rules_of(vendor: str, rows_max: int, settings: Settings = ()) -> VendorRules:
    """Return the rules of a vendor with few rows per file, for several batches per run; `settings` are Motorweb's."""
    rules = load_vendor(vendor, dict(settings) if vendor == BDP else {})
    return replace(rules, file=replace(rules.file, rows_max=rows_max))


@dataclass
class Sources:
    """The current rows of the sources, and every earlier version of them."""

    folder: Path
    draw: random.Random
    names: tuple[str, ...]
    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    spec: int = 0
    version: int = 0
    #: settings of the connection to Motorweb
    settings: Settings = ()
    allowed: Counter[tuple[str, RowVersion]] = field(default_factory=Counter)
    #: rows that the vendor rejects as retryable, so that each sync sends them
    retried: set[tuple[str, str]] = field(default_factory=set)
    history: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    #: job whose source has a renamed column, so that it does not match; empty if there is none
    renamed: str = ""
    #: former names of each renamed job, the newest first
    formers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def urls(self) -> dict[str, str]:
        """URLs of the vendors of the jobs, by name."""
        return URLS

    def rules(self, vendor: str, rows_max: int) -> VendorRules:
        """Return the rules of a vendor with this maximum number of rows in a file."""
        return rules_of(vendor, rows_max, self.settings)

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the columns of the source of a job."""
        return _COLUMNS[name]

    def removes(self, name: str) -> bool:
        """Return whether a key that left the source of a job is removed at the vendor."""
        return name == "guests"

    @property
    def journal_names(self) -> tuple[str, ...]:
        """All names under which the jobs may be in the journal, the present ones first."""
        return tuple(item for name in self.names for item in (self.present(name), *self.formers.get(name, ())))

    def present(self, name: str) -> str:
        """Return the present name of a job."""
        return f"{name}-{len(self.formers[name])}" if name in self.formers else name

    def rename(self, name: str) -> str:
        """Give a job another name; return the description of the edit."""
        self.formers[name] = (self.present(name), *self.formers.get(name, ()))
        return f"{self.formers[name][0]} was renamed to {self.present(name)}"

    def write_initial(self) -> None:
        """Draw and write the initial rows."""
        for name in self.names:
            self.rows[name] = {}
            for _ in range(self.draw.randint(1, 6)):
                self._add(name)
            self._write(name)

    def job(self, name: str) -> Job:
        """Return a job with the current spec and name."""
        found = next(item for item in _loaded(self.folder, self.spec).jobs if item.name == name)
        return replace(found, name=self.present(name), renamed_from=self.formers.get(name))

    def rename_column(self, name: str) -> None:
        """Rename a mapped column in the source of a job, or with `""` name every column as before."""
        renamed, self.renamed = self.renamed, name
        for job in filter(None, (renamed, name)):
            self._write(job)

    def edit(self) -> str:
        """Draw an edit of a source; return its description."""
        name = self.draw.choice(self.names)
        rows = self.rows[name]
        kind = self.draw.choice(["change", "change", "change", "delete", "add", "bad", "revert"])
        if kind == "add" or not rows:
            self._add(name)
        elif kind == "delete":
            key = self.draw.choice(sorted(rows))
            del rows[key]
            self.allowed[name, ("delete", key)] += 1
        elif kind == "revert":
            self._revert(name, self.draw.choice(sorted(rows)))
        else:
            self._put(name, self.draw.choice(sorted(rows)), bad=kind == "bad")
        self._write(name)
        return f"{kind} {name}"

    def edit_spec(self) -> str:
        """Change the mappings, which changes every guest and no vehicle; return its description."""
        self.spec = (self.spec + 1) % 3
        for name in self.names:
            for key in self.rows[name] if name != "vehicles" else ():
                self.allowed[name, self.vendor_view(name, key)] += 1
        # A rejected removal is sent again under another spec, too.
        for name, key in self.history:
            if key not in self.rows[name]:
                self.allowed[name, ("delete", key)] += 1
        return f"spec {self.spec}"

    def vendor_view(self, name: str, key: str) -> RowVersion:
        """Return the current version of a row as its vendor receives it."""
        row = self.rows[name][key]
        if name == "vehicles":
            return (row["vin"].strip().upper(), row["plate"], row["state"])
        return (row["name"].title(), f"spec {self.spec}", row["email"], key)

    def invalid(self, name: str, key: str) -> bool:
        """Return whether batchsync must refuse the row."""
        return name != "vehicles" and "@" not in self.rows[name][key]["email"]

    def _add(self, name: str) -> None:
        self.version += 1
        draw = self.draw.random()
        if name == "vehicles":
            key = f"V{self.version}"
        elif draw < 0.08:
            key = f"MOCK-OPEN-SESSION-{self.version}"
        elif draw < 0.17:
            key = f"MOCK-SERVER-ERROR-{self.version}"
            self.retried.add((name, key))
        else:
            key = f"{name[0].upper()}{self.version}"
        gone = sorted(item for job, item in self.history if job == name == "vehicles" and item not in self.rows[name])
        returns = bool(gone) and self.version % 3 > 0
        key = gone[0] if returns else key
        self.rows[name][key] = {}
        self._put(name, key, bad=self.draw.random() < 0.15)
        if returns:
            # A key that returns unchanged is looked up again, because its answer was removed.
            self.rows[name][key] = self.history[name, key][-2]
            self.allowed[name, self.vendor_view(name, key)] += 1

    def _put(self, name: str, key: str, *, bad: bool) -> None:
        """Give a row new content."""
        self.version += 1
        if name == "vehicles":
            vin = f"SHORT{self.version}" if bad else f"1HGCM82633A{self.version:06d}"
            if not bad and self.draw.random() < 0.06:
                vin = f"MCK500M2633A{self.version:05d}"
                self.retried.add((name, key))
            self.rows[name][key] = {"id": key, "vin": vin, "plate": "", "state": ""}
        else:
            email = "no-at-sign" if bad else f"{key.lower()}.{name}@example.com"
            self.rows[name][key] = {"id": key, "name": f"name {_letters(self.version)}", "email": email}
        self.history.setdefault((name, key), []).append(self.rows[name][key])
        self.allowed[name, self.vendor_view(name, key)] += 1

    def _revert(self, name: str, key: str) -> None:
        """Give a row content that it had before."""
        self.rows[name][key] = self.draw.choice(self.history[name, key])
        self.allowed[name, self.vendor_view(name, key)] += 1

    def revert_some(self, name: str, draw: random.Random) -> None:
        """Give some rows content that they had before, drawn from another generator."""
        for key in sorted(self.rows[name]):
            if draw.random() < 0.5:
                self.rows[name][key] = draw.choice(self.history[name, key])
        self._write(name)

    def _write(self, name: str) -> None:
        with (self.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            columns = self.columns(name)
            writer = csv.DictWriter(stream, columns)
            header = {column: column for column in columns}
            writer.writerow(header | {columns[1]: "renamed"} if name == self.renamed else header)
            writer.writerows(self.rows[name].values())


def _letters(number: int) -> str:
    """Return a number as letters: name casing leaves the result distinct."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
