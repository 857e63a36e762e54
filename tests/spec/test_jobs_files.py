"""Values of a valid jobs.yaml, and the hashes of its jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.deployment import Resources
from batchsync.core.guards import Budget, Guards, Limit
from batchsync.core.job import Join, Send
from batchsync.core.mapping import Array, Each, Expression, Literal, Object
from batchsync.core.schedule import Schedule
from batchsync.errors import SpecError
from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.spec.conftest import Workshop

    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job

    Load = Callable[..., Deployment]

DESIGN = """\
# yaml-language-server: $schema=specs/batchsync_specs/jobs.schema.json
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    base_url: ${MOTORWEB_URL:-https://api.tst.motorweb.app}
    credentials: {client_id: "${MOTORWEB_CLIENT_ID}", client_secret: "${MOTORWEB_CLIENT_SECRET}"}
  sitecore:
    vendor: sitecore-cdp
    base_url: ${SITECORE_URL:-https://api-engage-eu.sitecorecloud.io}
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
jobs:
  vehicle-checks:
    source: {path: data/vehicles.csv, key: vin}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch}
    mode: lookup                          # query the vendor for each row and store the results
    send: changed                         # all | changed (against the baseline) | {since: updated_at}
    record: {vin: "=upper(trim(vin))", plate: =plate, state: =state}
    results: {path: out/vehicle-checks.csv}      # or parquet, or a SQLite table
    schedule: {cron: "0 2 * * *", timezone: Pacific/Auckland}
  guests:
    source: {path: data/customers.csv, key: CustomerKey}
    target: {connection: sitecore, schema: guest}
    mode: upsert                          # insert | upsert | guest (migration) | delete ...: what the vendor supports
    record:
      guestType: customer
      firstName: =initcap(FirstName)      # a leading '=' is an expression over the source's columns
      email: =lower(EmailAddress)
      identifiers: [{provider: CRM, id: =CustomerKey}]
      extensions: [{name: ext, key: default, occupation: =Occupation}]
    on_removed: ignore                    # ignore | delete | gdpr_delete
    guards: {max_remove: 5%, max_change: 30%, min_rows: 1000}
"""


def job_of(deployment: Deployment, name: str = "guests") -> Job:
    return next(job for job in deployment.jobs if job.name == name)


def test_example_of_the_design_loads(workshop: Workshop, tmp_path: Path) -> None:
    deployment = workshop.load(DESIGN)
    checks, guests = deployment.jobs
    assert (checks.name, checks.mode, checks.send) == ("vehicle-checks", "lookup", Send(rows="changed"))
    assert checks.source.key == ("vin",)
    assert checks.source.folder == str(tmp_path)
    assert checks.target == {"service": "Vehicle ID WOVR Batch"}
    assert checks.schedule == Schedule(cron="0 2 * * *", timezone="Pacific/Auckland")
    assert checks.results is not None
    assert (checks.results.path, checks.results.format) == (str(tmp_path / "out/vehicle-checks.csv"), "csv")
    assert guests.guards == Guards(max_remove=Limit(percent=5.0), max_change=Limit(percent=30.0), min_rows=1000)
    assert guests.budget == Budget()
    assert guests.removal is None
    assert deployment.connections["sitecore"].base_url == "https://api-engage-eu.sitecorecloud.io"
    assert deployment.connections["motorweb"].credentials["client_id"] == "${MOTORWEB_CLIENT_ID}"


def test_record_becomes_literals_expressions_objects_and_lists(load_changed: Load) -> None:
    record = job_of(load_changed()).record
    assert record == Object((
        ("guestType", Literal("customer")),
        ("email", Expression("lower(email)")),
        ("identifiers", Array((Object((("provider", Literal("CRM")), ("id", Expression("id")))),))),
    ))  # fmt: skip
    assert record.members[1][1].place.line == 17
    assert record.members[1][1].place.column == 14


def test_each_becomes_repeated_item(load_changed: Load) -> None:
    record = job_of(load_changed(("[{provider: CRM, id: =id}]", "[{each: {provider: CRM, id: =id}}]"))).record
    item = Object((("provider", Literal("CRM")), ("id", Expression("id"))))
    assert record.get("identifiers") == Array((Each(item),))


def test_literals_keep_their_types(load_changed: Load) -> None:
    text = "extensions: [{name: ext, key: default, a: 1, b: -2.5, c: true, d: '1', e: 2.5.1, f: Y}]"
    found = job_of(load_changed(("guestType: customer", text))).record.get("extensions")
    assert isinstance(found, Array)
    (item,) = found.items
    assert isinstance(item, Object)
    values = {name: node.value for name, node in item.members if isinstance(node, Literal)}
    assert values == {"name": "ext", "key": "default", "a": 1, "b": -2.5, "c": True, "d": "1", "e": "2.5.1", "f": "Y"}
    assert isinstance(values["c"], bool)


def test_format_options_of_source_are_read(load_changed: Load) -> None:
    source = """{path: "x/*.txt", key: [a, b], format: csv, delimiter: ";", encoding: cp1252, nulls: ["", "NULL"],
      join: [{path: s.csv, on: {segment: id}}, {path: t.csv, on: [a, b]}], duplicates: {by: updated_at}}"""
    found = job_of(load_changed(("{path: guests.csv, key: id}", source))).source
    assert (found.path, found.format, found.delimiter, found.encoding) == ("x/*.txt", "csv", ";", "cp1252")
    assert found.nulls == ("", "NULL")
    assert found.duplicates == "by:updated_at"
    assert found.joins == (Join(path="s.csv", on=(("segment", "id"),)), Join(path="t.csv", on=(("a", "a"), ("b", "b"))))


def test_tsv_file_has_tab_delimiter(load_changed: Load) -> None:
    assert job_of(load_changed(("guests.csv", "guests.tsv.gz"))).source.delimiter == "\t"


def test_key_is_expression_or_column_that_begins_with_equals_sign(load_changed: Load) -> None:
    assert job_of(load_changed(("key: id}", "key: =lower(id)}"))).source.key == Expression("lower(id)")
    assert job_of(load_changed(("key: id}", 'key: "==id"}'))).source.key == ("=id",)


def test_limits_and_ca_bundle_of_connection_are_read(load_changed: Load, tmp_path: Path) -> None:
    policy = "poll_every: 30s\n    deadline: 2d\n    retry_for: 36h\n    in_flight: 3"
    settings = f"vendor: motorweb-bdp\n    ca_bundle: ca.pem\n    {policy}"
    found = load_changed(("vendor: motorweb-bdp", settings)).connections["cars"]
    assert found.ca_bundle == str(tmp_path / "ca.pem")
    assert (found.poll_every, found.deadline, found.in_flight) == (timedelta(seconds=30), timedelta(days=2), 3)
    assert found.retry_for == timedelta(hours=36)
    assert found.base_url == "https://api.tst.motorweb.app"


def test_proxy_and_storage_of_connection_are_read(load_changed: Load) -> None:
    proxy = "http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example:3128"
    hosts = 'storage_hosts: ["storage.googleapis.com/acme-*", "${STORE}"]'
    settings = f'vendor: motorweb-bdp\n    proxy: "{proxy}"\n    {hosts}'
    found = load_changed(("vendor: motorweb-bdp", settings), environ={"STORE": "files.acme.example"}).connections[
        "cars"
    ]
    assert found.proxy == proxy, "resolved when the vendor is called"
    assert found.storage_hosts == ("storage.googleapis.com/acme-*", "files.acme.example")
    assert proxy not in repr(found)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1/x", "http://[::1]:8080", "https://localhost"]
)
def test_loopback_base_url_is_allowed(load_changed: Load, url: str) -> None:
    change = ("https://api-engage-eu.sitecorecloud.io", "${URL}")
    assert load_changed(change, environ={"URL": url}).connections["crm"].base_url == url


def test_environment_values_are_typed_like_unquoted_values(load_changed: Load) -> None:
    change = ("vendor: motorweb-bdp", "vendor: motorweb-bdp\n    in_flight: ${MANY:-2}")
    assert load_changed(change).connections["cars"].in_flight == 2
    assert load_changed(change, environ={"MANY": "5"}).connections["cars"].in_flight == 5


def test_escaped_reference_is_literal(load_changed: Load) -> None:
    record = job_of(load_changed(("guestType: customer", 'city: "$${A}"'))).record
    assert record.get("city") == Literal("${A}")


def test_removal_record_is_derived_from_key_columns(load_changed: Load) -> None:
    removal = job_of(load_changed(("mode: upsert", "mode: upsert\n    on_removed: gdpr_delete"))).removal
    assert removal is not None
    assert removal.mode == "gdpr_delete"
    item = Object((("provider", Literal("CRM")), ("id", Expression("id"))))
    assert removal.record == Object((("identifiers", Array((item,))),))


def test_written_removal_record_is_used(load_changed: Load) -> None:
    written = 'mode: upsert\n    on_removed: {mode: delete, record: {email: "=lower(id)"}}'
    removal = job_of(load_changed(("mode: upsert", written))).removal
    assert removal is not None
    assert removal.record == Object((("email", Expression("lower(id)")),))


def test_since_column_changes_spec_hash_and_not_mapping_hash(load_changed: Load) -> None:
    by = [
        load_changed(("    mode: upsert\n", f"    mode: upsert\n    send: {{since: {column}}}\n")).jobs[0]
        for column in ("updated_at", "version")
    ]
    assert by[0].spec_hash != by[1].spec_hash
    assert by[0].mapping_hash == by[1].mapping_hash


def test_since_interval_budget_and_compression_are_read(load_changed: Load) -> None:
    settings = """mode: upsert
    send: {since: updated_at}
    schedule: {every: 15m}
    budget: {invalid: 2%, rejected: 1}
    compression: smaller"""
    job = job_of(load_changed(("mode: upsert", settings)))
    assert job.send == Send(rows="since", since="updated_at")
    assert job.schedule == Schedule(every=timedelta(minutes=15))
    assert job.budget == Budget(invalid=Limit(percent=2.0), rejected=Limit(count=1))
    assert job.compression == "smaller"


def test_lookup_results_may_be_a_sqlite_table(load_changed: Load) -> None:
    results = job_of(load_changed(("{path: out/checks.csv}", "{path: out/a.db, table: checks}")), "checks").results
    assert results is not None
    assert (results.format, results.table) == ("sqlite", "checks")


def test_job_as_source_has_results_path_and_dependency(load_changed: Load, tmp_path: Path) -> None:
    deployment = load_changed(("{path: guests.csv,", "{job: checks,"))
    assert [job.name for job in deployment.jobs] == ["checks", "guests"]
    guests = job_of(deployment)
    assert guests.depends_on == ("checks",)
    assert guests.source.job == "checks"
    assert (guests.source.path, guests.source.format) == (str(tmp_path / "out/checks.csv"), "csv")


def test_independent_jobs_keep_file_order(workshop: Workshop) -> None:
    block = "    source: {path: a.csv, key: id}\n    target: {connection: crm, schema: guest}\n    mode: upsert\n"
    block += "    record: {email: =id}\n"
    jobs = {"d": "[b]", "c": "[]", "b": "[a]", "a": "[]", "e": "[]"}
    head = workshop.valid.partition("jobs:\n")[0] + "jobs:\n"
    text = head + "".join(f"  {name}:\n{block}    depends_on: {of}\n" for name, of in jobs.items())
    assert [job.name for job in workshop.load(text).jobs] == ["c", "a", "b", "d", "e"]


def test_vendor_rules_can_be_passed(workshop: Workshop) -> None:
    rules = {name: load_vendor(name) for name in ("sitecore-cdp", "motorweb-bdp")}
    assert workshop.load(workshop.valid, vendors=rules).jobs == workshop.load(workshop.valid).jobs
    (problem,) = workshop.problems(workshop.valid, vendors={"sitecore-cdp": rules["sitecore-cdp"]})
    assert 'unknown vendor "motorweb-bdp"' in problem


def test_vendor_folder_is_relative_to_jobs_file(workshop: Workshop) -> None:
    (problem,) = workshop.problems(workshop.changed(("vendor: motorweb-bdp", "vendor: ./mine")))
    assert problem.startswith(f"jobs.yaml:8:13: no vendor.yaml in {workshop.path.parent / 'mine'}")


def test_byte_order_mark_and_crlf_are_accepted(workshop: Workshop) -> None:
    content = b"\xef\xbb\xbf" + workshop.valid.replace("\n", "\r\n").encode()
    assert workshop.load(content).jobs == workshop.load(workshop.valid).jobs


def test_bundled_jobs_load_without_secrets(pytestconfig: pytest.Config) -> None:
    assert load(pytestconfig.rootpath / "jobs.yaml", environ={}).jobs


# ---- the spec hash -------------------------------------------------------------------------------------------------


def hash_of(load_changed: Load, *changes: tuple[str, str], **options: Any) -> str:
    return job_of(load_changed(*changes, **options)).spec_hash


@pytest.mark.parametrize(
    "change",
    [
        ("guestType: customer", "city: Wellington"),
        ("email: =lower(email)", "email: =email"),
        ("email: =lower(email)", "email: a@b.nz"),
        (
            "      guestType: customer\n      email: =lower(email)\n",
            "      email: =lower(email)\n      guestType: customer\n",
        ),
        ("key: id}", "key: email}"),
        ("key: id}", "key: =id}"),
        ("key: id}", 'key: id, delimiter: ";"}'),
        ("key: id}", 'key: id, nulls: [""]}'),
        ("key: id}", "key: id, duplicates: last}"),
        ("key: id}", "key: id, join: [{path: a.csv, on: id}]}"),
        ("mode: upsert", "mode: upsert\n    on_removed: delete"),
    ],
    ids=lambda change: change[1].strip(),
)
def test_edit_that_affects_records_changes_spec_hash(load_changed: Load, change: tuple[str, str]) -> None:
    assert hash_of(load_changed, change) != hash_of(load_changed)


@pytest.mark.parametrize(
    "change",
    [
        ("    mode: upsert\n", "\n    mode: upsert # as it was\n"),
        ("mode: upsert", "mode: upsert\n    schedule: {every: 1h}"),
        ("mode: upsert", "mode: upsert\n    guards: {min_rows: 5}\n    budget: {invalid: 1}"),
        ("path: guests.csv", "path: elsewhere/guests.csv"),
        ("https://api-engage-eu", "https://api-engage-us"),
        ('"${CRM_KEY}"', '"${OTHER_KEY}"'),
        ("customer", '"customer"'),
    ],
    ids=lambda change: change[1].strip(),
)
def test_edit_that_affects_no_record_keeps_spec_hash(load_changed: Load, change: tuple[str, str]) -> None:
    assert hash_of(load_changed, change) == hash_of(load_changed)


def test_environment_value_changes_spec_hash(load_changed: Load) -> None:
    change = ("guestType: customer", 'city: "${CITY}"')
    first, second = (hash_of(load_changed, change, environ={"CITY": city}) for city in ("Bluff", "Cape Reinga"))
    assert first != second


def test_spec_hash_is_stable(load_changed: Load) -> None:
    assert hash_of(load_changed) == "e3b572cdaa63fcd1837edf98db4e616aa4c63647c82d8659a073b727dc91dbb1"


# ---- the mapping hash ----------------------------------------------------------------------------------------------


def mapping_of(load_changed: Load, *changes: tuple[str, str]) -> str:
    return job_of(load_changed(*changes)).mapping_hash


@pytest.mark.parametrize(
    "change",
    [
        ("email: =lower(email)", "email: =email"),
        ("guestType: customer", "city: Wellington"),
    ],
    ids=lambda change: change[1],
)
def test_edit_of_record_changes_mapping_hash(load_changed: Load, change: tuple[str, str]) -> None:
    assert mapping_of(load_changed, change) != mapping_of(load_changed)


@pytest.mark.parametrize(
    "change",
    [
        ("mode: upsert", "mode: upsert\n    on_removed: delete"),
        ("key: id}", "key: id, duplicates: last}"),
        ("key: id}", 'key: id, delimiter: ";"}'),
        ("key: id}", "key: id, encoding: cp1252}"),
        ("guests.csv", "guests.parquet"),
        ("key: id}", 'key: id, nulls: ["-"]}'),
        ("key: id}", "key: id, join: [{path: a.csv, on: id}]}"),
    ],
    ids=lambda change: change[1].strip(),
)
def test_edit_of_source_or_removal_keeps_mapping_hash(load_changed: Load, change: tuple[str, str]) -> None:
    assert mapping_of(load_changed, change) == mapping_of(load_changed)


def test_non_identity_target_key_changes_spec_hash_and_not_mapping_hash(load_changed: Load) -> None:
    plain = job_of(load_changed(), "checks")
    changes = ("service: Vehicle ID", "service: Vehicle ID, email: a@example.com")
    notified = job_of(load_changed(changes), "checks")
    assert notified.mapping_hash == plain.mapping_hash
    assert notified.spec_hash != plain.spec_hash
    other = job_of(load_changed(("service: Vehicle ID", "service: Another")), "checks")
    assert other.mapping_hash != plain.mapping_hash


def test_mapping_hash_of_removal_depends_on_its_mode_and_record(load_changed: Load) -> None:
    def removal_hash(written: str, *changes: tuple[str, str]) -> str:
        removal = job_of(load_changed(("mode: upsert", f"mode: upsert\n    on_removed: {written}"), *changes)).removal
        assert removal is not None
        return removal.mapping_hash

    plain = removal_hash("delete")
    assert removal_hash("delete", ("email: =lower(email)", "email: =email")) == plain
    assert removal_hash("gdpr_delete") != plain
    assert removal_hash('{mode: delete, record: {email: "=lower(id)"}}') != plain


def test_deployments_are_equal_despite_places(load_changed: Load) -> None:
    assert load_changed(("version: 1\n", "\n\nversion: 1\n")) == load_changed()


def test_compiled_values_have_places(load_changed: Load) -> None:
    deployment = load_changed()
    checks = job_of(deployment, "checks")
    assert checks.results is not None
    parts = (checks, checks.source, checks.record, checks.results, deployment.connections["crm"])
    assert [(part.place.line, part.place.column) for part in parts] == [(19, 3), (20, 5), (23, 13), (24, 21), (3, 3)]


def test_threads_and_memory_are_top_level_and_keep_spec_hash(load_changed: Load) -> None:
    plain = load_changed()
    assert plain.resources == Resources(threads=None, memory="normal")
    found = load_changed(("version: 1", "version: 1\nthreads: 2\nmemory: small"))
    assert found.resources == Resources(threads=2, memory="small")
    assert [job.spec_hash for job in found.jobs] == [job.spec_hash for job in plain.jobs]


@pytest.mark.parametrize("invalid", ["threads: 0", "threads: 1.5", "threads: many", "threads: yes", "memory: tiny"])
def test_invalid_threads_and_memory_are_refused(load_changed: Load, invalid: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_changed(("version: 1", f"version: 1\n{invalid}"))
    assert [problem.line for problem in raised.value.problems] == [2]
