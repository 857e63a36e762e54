"""Vendor specs: rules of the bundled vendors, and messages about invalid specs."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from vendor_kit import MOTORWEB, SITECORE

from batchsync.core.policy import OnUnknownOutcome
from batchsync.core.record_schema import Kind, RecordSchema, Rule, Severity
from batchsync.core.vendor_rules import DefaultOutcome, FileFormat, Sends
from batchsync.errors import SpecError, UsageError
from batchsync.spec import render_problem
from batchsync.spec.vendor_key_texts import key_texts
from batchsync.spec.vendor_spec import available_vendors, load_vendor, vendor_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = files("batchsync_specs")


def test_vendors_are_bundled() -> None:
    assert available_vendors() == ("amazon-sp-feeds", MOTORWEB, "salesforce-bulk", SITECORE)


def test_sitecore_spec_has_the_designed_rules() -> None:
    rules = load_vendor(SITECORE)
    assert rules.policy.on_unknown_allocation is OnUnknownOutcome.ASK
    assert rules.policy.in_flight_max == 1
    assert (rules.policy.poll_first.total_seconds(), rules.policy.poll_max.total_seconds()) == (5, 60)
    assert (rules.file.format, rules.file.gzip, rules.file.bytes_max) == (FileFormat.JSONL, True, 50_000_000)
    assert rules.file.envelope
    assert (rules.row_log.joined_by, rules.row_log.default_outcome) == ("ref", DefaultOutcome.ACCEPTED)
    assert rules.removal_modes == ("delete", "gdpr_delete")
    assert rules.dialect is not None
    statuses = rules.dialect.vendor_statuses
    assert (statuses["success"], statuses["corrupted"], statuses["error"]) == ("processed", "refused", "mixed")
    assert rules.default_base_url is None


def test_motorweb_spec_has_the_designed_rules() -> None:
    rules = load_vendor(MOTORWEB)
    assert rules.policy.on_unknown_allocation is OnUnknownOutcome.TAKE_ANOTHER
    assert (rules.policy.poll_first.total_seconds(), rules.policy.poll_max.total_seconds()) == (900, 900)
    assert rules.policy.deadline.days == 31
    assert rules.policy.ask_after.total_seconds() < 900, "the URL of 15 minutes must still be valid"
    assert rules.target_keys == {"service": True, "email": False, "scheduledDate": False, "schema": False}
    target = {"service": "Vehicle ID WOVR Batch", "email": "a@example.com", "scheduledDate": "2026-01-01"}
    assert rules.identity_fields(target) == {"service": "Vehicle ID WOVR Batch"}
    assert rules.dialect is not None
    assert rules.dialect.vendor_statuses["complete"] == rules.dialect.vendor_statuses["completed"] == "processed"
    assert (rules.row_log.joined_by, rules.row_log.default_outcome, rules.row_log.results) == (
        "inputs",
        DefaultOutcome.UNKNOWN,
        True,
    )
    assert rules.row_log.errors.retry_codes == ("SERVER_ERROR",)
    assert rules.modes == {"lookup": Sends.LOOKUPS}


def test_record_schema_is_selected_by_target() -> None:
    named = load_vendor(SITECORE).schema_for({"schema": "order"})
    assert named is not None
    assert named.name == "order"
    assert load_vendor(SITECORE).schema_for({"schema": "products"}) is None
    default = load_vendor(MOTORWEB).schema_for({"service": "Vehicle ID WOVR Batch"})
    assert default is not None
    assert default.name == "vehicle"


def test_modes_of_record_schemas_match_documentation() -> None:
    modes = {name: set(schema.modes) for name, schema in load_vendor(SITECORE).schemas.items()}
    assert modes == {
        "guest": {"upsert", "delete", "gdpr_delete"},
        "order": {"insert", "upsert", "delete"},
        "tracking": {"insert"},
        "migration": {"guest"},
    }


def every_rule(schema: RecordSchema) -> Iterator[tuple[str, Rule]]:
    pending = [(schema.name, schema.root)]
    while pending:
        at, rule = pending.pop()
        yield at, rule
        pending += [(f"{at}.{name}", child) for name, child in rule.fields]
        pending += [(f"{at}[]", rule.items)] if rule.items else []


@pytest.mark.parametrize("name", available_vendors())
def test_every_field_names_its_source(name: str) -> None:
    for schema in load_vendor(name).schemas.values():
        assert not [at for at, rule in every_rule(schema) if not rule.source]


def rule_at(schema: str, *path: str) -> Rule:
    rule: Rule | None = load_vendor(SITECORE).schemas[schema].root
    for part in path:
        assert rule is not None
        rule = rule.items if part == "[]" else rule.field(part)
    assert rule is not None
    return rule


def test_guest_schema_matches_documentation() -> None:
    guest = load_vendor(SITECORE).schemas["guest"]
    assert guest.alternatives("upsert") == (frozenset({"identifiers"}), frozenset({"email"}))
    assert rule_at("guest", "guestType").enum == ("customer",)
    assert rule_at("guest", "title").enum_severity is Severity.WARN
    assert rule_at("guest", "gender").enum_severity is Severity.REFUSE
    assert rule_at("guest", "dateOfBirth").past
    group = rule_at("guest", "extensions", "[]")
    assert rule_at("guest", "extensions").max_length == 6
    assert group.extra is not None
    assert (group.extra.max_count, group.extra.kind) == (100, Kind.SCALAR)
    assert rule_at("guest", "extensions", "[]", "name").enum == ("ext", "ext1", "ext2", "ext3", "ext4", "ext5")
    assert guest.fields_in["delete"] == {"identifiers", "firstName", "lastName", "email"}


def test_order_schema_matches_documentation() -> None:
    order = load_vendor(SITECORE).schemas["order"]
    required = {name for name, rule in order.root.fields if "insert" in rule.required_in or "*" in rule.required_in}
    assert required == {
        "referenceId",
        "channel",
        "pointOfSale",
        "status",
        "orderedAt",
        "currencyCode",
        "price",
        "paymentType",
        "contact",
        "orderItems",
    }
    assert [(condition.field, condition.equals, condition.required) for condition in order.conditions] == [
        ("paymentType", ("Card",), ("cardType",))
    ]
    assert rule_at("order", "orderItems", "[]", "name").max_length == 128
    assert rule_at("order", "extensions", "[]").extra is not None
    assert order.fields_in["delete"] == {"referenceId", "orderedAt", "orderRef"}
    assert "orderRef" not in order.fields_in["insert"]


def test_stored_json_schema_matches_model() -> None:
    stored = json.loads((BUNDLED / "vendor.schema.json").read_text(encoding="utf-8"))
    assert stored == vendor_schema(), "update the file with vendor_schema()"
    # Every key has a description in vendor_keys.toml, and every description belongs to a key.
    models = {"VendorModel": stored, **stored["$defs"]}
    keys = {(name, key): item for name, model in models.items() for key, item in model.get("properties", {}).items()}
    assert [place for place, item in keys.items() if not item.get("description")] == []
    described = {(name, key) for name, texts in key_texts().items() for key in texts if name != "Documented"}
    assert described - set(keys) == set()


def test_bundled_vendor_is_compiled_once() -> None:
    assert load_vendor("sitecore-cdp") is load_vendor("sitecore-cdp")


def test_unknown_vendor_is_refused_with_list_of_vendors() -> None:
    with pytest.raises(UsageError) as raised:
        load_vendor("salesforce")
    assert SITECORE in raised.value.hint


class Copy:
    """A copy of a vendor's folder, to be modified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my-vendor"
        (self.folder / "records").mkdir(parents=True)
        for record in (BUNDLED / SITECORE / "records").iterdir():
            (self.folder / "records" / record.name).write_bytes(record.read_bytes())
        self.file = self.folder / "vendor.yaml"
        self.file.write_bytes((BUNDLED / SITECORE / "vendor.yaml").read_bytes())

    def change(self, path: str, value: Any) -> None:
        yaml = YAML(typ="safe", pure=True)
        content = yaml.load(self.file.read_text(encoding="utf-8"))
        node = content
        *inner, last = path.split("/")
        for part in inner:
            node = node[int(part) if part.isdigit() else part]
        if value is None:
            del node[last]
        else:
            node[last] = value
        with self.file.open("w", encoding="utf-8") as out:
            yaml.dump(content, out)

    def problems(self) -> list[str]:
        with pytest.raises(SpecError) as raised:
            load_vendor(str(self.folder))
        assert {Path(problem.file).parent for problem in raised.value.problems} <= {
            self.folder,
            self.folder / "records",
        }
        return [problem.message for problem in raised.value.problems]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_custom_vendor_folder_is_loaded(copy: Copy) -> None:
    rules = load_vendor(str(copy.folder))
    assert rules.name == SITECORE
    assert set(rules.schemas) == {"guest", "order", "tracking", "migration"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("calls/0/methode", "PUT", "calls.0.methode: unknown key"),
        ("calls/0/source", None, "calls.0.source: is missing"),
        ("calls/0/method", "TRACE", "calls.0.method: "),
        ("calls/0/url", "https://evil.example/", "calls.0.url: "),
        ("calls/0/url", "/v2/{tiket}", "calls.0.url: unknown placeholder tiket"),
        ("calls/0/url", "/v2/{ticket", "calls.0.url: brace outside of a placeholder"),
        ("calls/0/json/size", "{target.email}", "calls.0.json.size: unknown placeholder target.email"),
        ("calls/0/read/url", [], "calls.0.read.url: "),
        ("calls/0/read/url", None, "calls.0.read: must define where to read url"),
        ("calls/3/read/word", ["status"], "calls.3.read.word.0: "),
        ("calls/2/sends_file", False, "calls.2: must send the file"),
        (
            "calls/2/call",
            "poll",
            "calls: must be in this order, each once: allocate, find, upload, commit",
        ),
        ("calls/3/call", "commit", "calls: lacks poll"),
        ("calls/1/call", "fnid", "calls.1.call: unknown value"),
        ("file/envelope", {"value": "{ref}"}, "file.envelope: invalid value"),
        ("file/envelope", {"value": "a {record}"}, "file.envelope: invalid value"),
        ("file/envelope", {"value": "{record}", "op": "{operation}"}, "file.envelope: invalid value"),
        ("statuses/success", "fine", "statuses.success: must be running, empty or one of"),
        ("policy/ask_after", "1 minute", "policy.ask_after: "),
        ("policy/ask_after", 60, "policy.ask_after: "),
        ("policy/in_flight_max", 0, "policy.in_flight_max: "),
        ("policy/in_flight_max", "1", "policy.in_flight_max: "),
        ("policy/on_unknown_allocation", "guess", "policy.on_unknown_allocation: "),
        ("connection/storage_hosts", ["*.com"], "connection.storage_hosts.0: "),
        ("connection/storage_hosts", ["*"], "connection.storage_hosts.0: "),
        ("connection/account", "unlisted", "connection.account: must be one of credentials"),
        ("connection/auth/user", "unlisted", "connection.auth.user: must name one of credentials"),
        ("connection/auth/kind", "header", "connection.auth.headers: must define the headers"),
        ("connection/auth/kind", "oauth2_client_credentials", "connection.auth.token: must be a call"),
        ("modes/keeps_absent", ["delete", "merge"], "modes.keeps_absent: must all be modes that send records"),
        ("target/non_identity_keys", ["email"], "target.non_identity_keys: must all be in target.keys"),
        ("modes/sends/upsert", "rows", "modes.sends.upsert: "),
        ("modes/sends/insert", None, "modes: not in the vendor's modes: insert"),
        ("target/default_schema", "product", "target.default_schema: no such file in records/"),
    ],
)
def test_invalid_value_is_reported_with_its_path(path: str, value: Any, expected: str, copy: Copy) -> None:
    copy.change(path, value)
    assert [problem for problem in copy.problems() if problem.startswith(expected)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "  grace_polls:",
            "  grace_pollss:",
            'policy.grace_pollss: unknown key\n  did you mean "grace_polls"?',
        ),
        ("    method: PUT\n", "    method: PTU\n", 'calls.0.method: unknown value\n  did you mean "PUT"?'),
        ("  ask_after: ", "  ask_after: about ", "policy.ask_after: invalid format"),
        ("version: 1\n", "version: 1\nversion: 1\n", 'duplicate key "version"'),
        ("name: sitecore-cdp", "name:sitecore-cdp", "missing space after the colon"),
        ("auth: {kind: basic, ", "auth: {kind: basic ", ""),
    ],
)
def test_invalid_line_of_vendor_spec_is_shown_with_caret(old: str, new: str, expected: str, copy: Copy) -> None:
    text = copy.file.read_text(encoding="utf-8")
    copy.file.write_text(text.replace(old, new, 1), encoding="utf-8")
    number = text[: text.index(old)].count("\n") + new.count("\n")
    with pytest.raises(SpecError) as raised:
        load_vendor(str(copy.folder))
    problem = raised.value.problems[0]
    shown = render_problem(problem).splitlines()
    assert shown[0].startswith(f"{copy.file}:{problem.line}:{problem.column}: ")
    assert shown[2].endswith("^")
    assert problem.line >= 1
    if expected:
        message, _, suggestion = expected.partition("\n  ")
        assert (problem.message, problem.suggestion) == (message, suggestion)
        assert problem.line in {number, number + 1}
        assert problem.source_line == copy.file.read_text(encoding="utf-8").splitlines()[problem.line - 1]


def test_invalid_lines_of_all_record_schemas_are_reported(copy: Copy) -> None:
    for name in ("guest", "order"):
        record = copy.folder / "records" / f"{name}.yaml"
        record.write_text(
            record.read_text(encoding="utf-8").replace("kind: string", "knid: string", 1), encoding="utf-8"
        )
    with pytest.raises(SpecError) as raised:
        load_vendor(str(copy.folder))
    unknown = [problem for problem in raised.value.problems if "unknown key" in problem.message]
    assert [Path(item.file).name for item in unknown] == ["guest.yaml", "order.yaml"]
    assert all("knid: string" in item.source_line and item.suggestion == 'did you mean "kind"?' for item in unknown)
    assert all(item.source_line[item.column - 1 :].startswith("knid") for item in unknown)


def test_vendor_spec_allows_anchors_and_masks_header_values(copy: Copy) -> None:
    text = copy.file.read_text(encoding="utf-8")
    copy.file.write_text(text.replace("grace_polls: ", "grace_polls: &often ", 1), encoding="utf-8")
    load_vendor(str(copy.folder))
    text = text.replace("    method: PUT\n", "    method: PUT\n    form: {Authorization: hunter2hunter2, X: []}\n", 1)
    copy.file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load_vendor(str(copy.folder))
    assert "hunter2" not in repr(raised.value.problems)
    assert any("form: {Authorization: *" in problem.source_line for problem in raised.value.problems)


def test_all_problems_are_reported_together(copy: Copy) -> None:
    copy.change("calls/0/methode", "PUT")
    copy.change("policy/ask_after", "soon")
    assert len(copy.problems()) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is not a mapping"),
        (b"- a list", "the file is not a mapping"),
        (b"version: 1\nversion: 2\n", 'duplicate key "version"'),
        (b"a: [1, 2\n", ""),
        (b"a: \xff\xfe\n", "not UTF-8"),
        (b"!!python/object:os.system {}\n", ""),
        (b"a: 1\n" + b"# nothing\n" * 200_000, "larger than"),
        (b"version: 2026-01-01\n", "version"),
    ],
)
def test_file_that_is_no_vendor_spec_is_refused(content: bytes, expected: str, copy: Copy) -> None:
    copy.file.write_bytes(content)
    assert expected in " ".join(copy.problems())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("modes: [insert]", "modes: [insert, create]", "not in the vendor's modes: create"),
        ("name: tracking", "name: events", "name: must equal the name of the file"),
        ("required_in: [insert]", "required_in: [upsert]", "fields.serviceIdentifier.required_in: unknown mode"),
        ("{kind: string}", "{kind: text}", "kind"),
        ("{kind: string}", '{kind: string, pattern: "(?=a)b"}', "pattern: invalid value"),
        ('pattern: "^utm_[a-z]+$"', 'pattern: "(a"', "extra.pattern: invalid value"),
        (
            "fields:",
            "any_of: {insert: [[chanel]]}\nfields:",
            "any_of.insert: unknown field chanel. Did you mean channel?",
        ),
    ],
)
def test_invalid_record_schema_is_reported_with_its_path(old: str, new: str, expected: str, copy: Copy) -> None:
    record = copy.folder / "records" / "tracking.yaml"
    record.write_text(record.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert expected in " ".join(copy.problems())


def test_undocumented_field_names_are_not_in_specs() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (BUNDLED / SITECORE / "records").iterdir())
    for name in ("bookingClass", "equipmentType", "orderContact", "expirtyDate"):
        assert name not in text
