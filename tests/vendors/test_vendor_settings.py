"""Settings of a vendor spec: the values that a connection chooses change calls, layouts and record schemas."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from vendor_kit import MOTORWEB, SITECORE

from batchsync.core.vendor_calls import CallName
from batchsync.errors import SpecError
from batchsync.spec import load, render_problem
from batchsync.spec.merged_content import merged
from batchsync.spec.setting_names import bundled_setting_names
from batchsync.spec.vendor_spec import load_vendor
from kit.schemas import text_errors

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.deployment import Deployment

BUNDLED = files("batchsync_specs")
SETTINGS = """
settings:
  status_by:
    title: Status by
    source: "D:status, D:list"
    default: batch
    values:
      batch: {means: the status of the batch}
      list:
        means: the list of batches
        changes:
          calls:
            - call: poll
              url: /v2/batches/inspect?limit=10
              read: {status: [/items/0/status]}
          row_log: {errors: {ignored_codes: null, retry_codes: ["503"]}}
  generation:
    title: Generation
    source: assumed
    values:
      "1.0":
        means: guests of old tenants
        changes:
          records:
            guest:
              any_of: {"*": [[identifiers]]}
              fields: {nickname: {kind: string, source: assumed}, subscriptions: null}
      "2.0": {means: guests of new tenants}
"""
JOBS = """\
version: 1
connections:
  crm:
    vendor: ./my-vendor
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${KEY}", api_token: "${TOKEN}"}
    generation: 1.0
jobs:
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: crm, schema: guest}
    mode: upsert
    record: {nickname: =name, identifiers: [{provider: CRM, id: =id}]}
"""


class Vendor:
    """A copy of a vendor's folder with settings, and a jobs.yaml that uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my-vendor"
        (self.folder / "records").mkdir(parents=True)
        for record in (BUNDLED / SITECORE / "records").iterdir():
            (self.folder / "records" / record.name).write_bytes(record.read_bytes())
        spec = (BUNDLED / SITECORE / "vendor.yaml").read_text(encoding="utf-8")
        head, found, tail = spec.partition("\nsettings:\n")
        if found:  # the settings of the bundled vendor give way to those of the test
            rest = tail.split("\n")
            end = next(number for number, line in enumerate(rest) if line[:1].strip(" #"))
            spec = f"{head}\n" + "\n".join(rest[end:])
        self.spec = spec
        self.jobs = folder / "jobs.yaml"
        self.write(SETTINGS)

    def write(self, settings: str) -> None:
        (self.folder / "vendor.yaml").write_text(self.spec + settings, encoding="utf-8")

    def load(self, text: str, **environ: str) -> Deployment:
        self.jobs.write_text(text, encoding="utf-8")
        return load(self.jobs, environ=environ)

    def problems(self, text: str = JOBS, **environ: str) -> str:
        with pytest.raises(SpecError) as caught:
            self.load(text, **environ)
        return "\n".join(render_problem(item) for item in caught.value.problems)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


def test_chosen_values_change_calls_layouts_and_record_schemas(vendor: Vendor) -> None:
    name = str(vendor.folder)
    plain, listed = load_vendor(name), load_vendor(name, {"status_by": "list"})
    assert plain.dialect is not None
    assert listed.dialect is not None
    before, after = plain.dialect.calls[CallName.POLL], listed.dialect.calls[CallName.POLL]
    assert (after.url, after.read["status"]) == ("/v2/batches/inspect?limit=10", ("/items/0/status",))
    assert (after.method, after.headers) == (before.method, before.headers), "what is not named stays"
    assert list(listed.dialect.calls) == list(plain.dialect.calls)
    assert (plain.row_log.errors.ignored_codes, listed.row_log.errors.ignored_codes) == (("2",), ()), "null removes"
    assert (listed.row_log.errors.retry_codes, listed.row_log.errors.code) == (("503",), "code")
    assert plain.chosen == {"status_by": "batch"}, "a setting without a default is left open"
    assert [(item.name, item.choices, item.default) for item in plain.settings] == [
        ("status_by", ("batch", "list"), "batch"),
        ("generation", ("1.0", "2.0"), ""),
    ]
    old = load_vendor(name, {"generation": "1.0", "status_by": "list"}).schemas["guest"]
    assert old.alternatives("upsert") == (frozenset({"identifiers"}),)
    assert (old.root.field("nickname") is None, old.root.field("subscriptions")) == (False, None)
    assert plain.schemas["guest"].root.field("nickname") is None
    assert merged({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [3], "e": None}) == {"a": {"b": 1, "d": 2}, "c": [3]}


def test_connection_chooses_values_that_are_validated_with_place(vendor: Vendor) -> None:
    for written, environ in (("1.0", {}), ('"1.0"', {}), ("${GENERATION}", {"GENERATION": "1.0"})):
        deployment = vendor.load(JOBS.replace("generation: 1.0", f"generation: {written}"), **environ)
        assert deployment.connections["crm"].settings == {"generation": "1.0"}
    assert text_errors(JOBS) == (), "an editor does not know the keys of a vendor in a folder"
    found = vendor.problems(JOBS.replace("generation: 1.0", "generation: 2.0"))
    assert 'guest has no member "nickname"' in found, "the record schema is that of the chosen value"
    found = vendor.problems(JOBS.replace("generation: 1.0", "generation: 1"))
    # The keys of a vendor in a folder are not known when the file is read, so that their values are hidden.
    assert 'jobs.yaml:7:17: "generation" cannot be "***"' in found.replace(str(vendor.jobs), "jobs.yaml")
    assert "expected 1.0 or 2.0" in found
    found = vendor.problems(JOBS.replace("generation: 1.0", "generation: [1.0]"))
    assert '"generation" is a list' in found
    found = vendor.problems(JOBS.replace("generation: 1.0", "genration: 1.0"))
    assert 'unknown key "genration"' in found
    assert 'did you mean "generation"?' in found.lower()
    found = vendor.problems(JOBS.replace("./my-vendor", MOTORWEB))
    assert 'unknown key "generation"' in found, "a setting of another vendor"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("default: batch", "default: lst", "settings.status_by.default: must be one of batch, list"),
        ("  generation:\n", "  proxy:\n", "settings.proxy: is a key of every connection"),
        ("  generation:\n", "  Generation:\n", "settings.Generation: invalid format"),
        ("values:\n      batch", "vals:\n      batch", "settings.status_by.vals: unknown key"),
        ("url: /v2/batches/inspect?limit=10", "url: /v2/{tiket}", "changes.calls.3.url: unknown placeholder tiket"),
        ("call: poll", "call: pol", "settings.status_by.values.list.changes.calls.4.method: is missing"),
        ("row_log: {", "name: other\n          row_log: {", "changes.name: cannot be changed by a setting"),
        ("            guest:\n", "            gest:\n", "settings: no record schema gest in records/"),
        ("kind: string, source", "kind: strng, source", "nickname.kind: unknown value"),
    ],
)
def test_invalid_setting_of_a_vendor_is_reported(old: str, new: str, expected: str, vendor: Vendor) -> None:
    assert SETTINGS.count(old) == 1
    vendor.write(SETTINGS.replace(old, new))
    with pytest.raises(SpecError) as raised:
        load_vendor(str(vendor.folder))
    assert any(expected in item.message for item in raised.value.problems), raised.value.problems


@pytest.mark.parametrize("name", [MOTORWEB, SITECORE])
def test_every_value_of_a_bundled_setting_is_valid(name: str) -> None:
    rules = load_vendor(name)
    for setting in rules.settings:
        for value in setting.choices:
            assert dict(load_vendor(name, {setting.name: value}).schemas)
    assert {item.name for item in rules.settings} <= bundled_setting_names()
