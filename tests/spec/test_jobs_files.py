"""What a jobs.yaml that is right becomes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lading.core.guards import Budget, Guards, Limit
from lading.core.job import Join, Resources, Schedule, Send
from lading.core.mapping import Array, Each, Expression, Literal, Object
from lading.errors import SpecError
from lading.spec import load
from lading.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.spec.conftest import Workshop

    from lading.core.job import Deployment, Job

    Load = Callable[..., Deployment]

DESIGN = """\
# yaml-language-server: $schema=specs/lading_specs/jobs.schema.json
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
    mode: lookup                          # ask the vendor about each row and bring the answers back
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
    return next(one for one in deployment.jobs if one.name == name)


def test_the_example_of_the_design_loads(workshop: Workshop, tmp_path: Path) -> None:
    deployment = workshop.load(DESIGN)
    checks, guests = deployment.jobs
    assert (checks.name, checks.mode, checks.send) == ("vehicle-checks", "lookup", Send(what="changed"))
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


def test_a_record_becomes_literals_expressions_objects_and_lists(load_changed: Load) -> None:
    record = job_of(load_changed()).record
    assert record == Object((
        ("guestType", Literal("customer")),
        ("email", Expression("lower(email)")),
        ("identifiers", Array((Object((("provider", Literal("CRM")), ("id", Expression("id")))),))),
    ))  # fmt: skip
    assert record.members[1][1].place.line == 17
    assert record.members[1][1].place.column == 14


def test_a_list_of_each_gathers_rows(load_changed: Load) -> None:
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


def test_a_source_takes_its_format_options(load_changed: Load) -> None:
    source = """{path: "x/*.txt", key: [a, b], format: csv, delimiter: ";", encoding: cp1252, nulls: ["", "NULL"],
      join: [{path: s.csv, on: {segment: id}}, {path: t.csv, on: [a, b]}], duplicates: {by: updated_at}}"""
    found = job_of(load_changed(("{path: guests.csv, key: id}", source))).source
    assert (found.path, found.format, found.delimiter, found.encoding) == ("x/*.txt", "csv", ";", "cp1252")
    assert found.nulls == ("", "NULL")
    assert found.duplicates == "by:updated_at"
    assert found.joins == (Join(path="s.csv", on=(("segment", "id"),)), Join(path="t.csv", on=(("a", "a"), ("b", "b"))))


def test_a_tab_separated_file_is_read_as_one(load_changed: Load) -> None:
    assert job_of(load_changed(("guests.csv", "guests.tsv.gz"))).source.delimiter == "\t"


def test_a_key_may_be_an_expression_or_a_column_that_begins_with_an_equals_sign(load_changed: Load) -> None:
    assert job_of(load_changed(("key: id}", "key: =lower(id)}"))).source.key == Expression("lower(id)")
    assert job_of(load_changed(("key: id}", 'key: "==id"}'))).source.key == ("=id",)


def test_a_connection_takes_limits_and_a_bundle(load_changed: Load, tmp_path: Path) -> None:
    more = "vendor: motorweb-bdp\n    ca_bundle: ca.pem\n    poll_every: 30s\n    deadline: 2d\n    in_flight: 3"
    found = load_changed(("vendor: motorweb-bdp", more)).connections["cars"]
    assert found.ca_bundle == str(tmp_path / "ca.pem")
    assert (found.poll_every, found.deadline, found.in_flight) == (timedelta(seconds=30), timedelta(days=2), 3)
    assert found.base_url == "https://api.tst.motorweb.app"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1/x", "http://[::1]:8080", "https://localhost"]
)
def test_this_machine_may_be_the_vendor(load_changed: Load, url: str) -> None:
    change = ("https://api-engage-eu.sitecorecloud.io", "${URL}")
    assert load_changed(change, environ={"URL": url}).connections["crm"].base_url == url


def test_values_from_the_environment_keep_the_type_they_would_have_without_quotes(load_changed: Load) -> None:
    change = ("vendor: motorweb-bdp", "vendor: motorweb-bdp\n    in_flight: ${MANY:-2}")
    assert load_changed(change).connections["cars"].in_flight == 2
    assert load_changed(change, environ={"MANY": "5"}).connections["cars"].in_flight == 5


def test_two_dollars_and_a_brace_stay(load_changed: Load) -> None:
    record = job_of(load_changed(("guestType: customer", 'city: "$${A}"'))).record
    assert record.get("city") == Literal("${A}")


def test_on_removed_derives_a_record_from_the_key_alone(load_changed: Load) -> None:
    removal = job_of(load_changed(("mode: upsert", "mode: upsert\n    on_removed: gdpr_delete"))).removal
    assert removal is not None
    assert removal.mode == "gdpr_delete"
    item = Object((("provider", Literal("CRM")), ("id", Expression("id"))))
    assert removal.record == Object((("identifiers", Array((item,))),))


def test_on_removed_takes_a_record_as_written(load_changed: Load) -> None:
    wish = 'mode: upsert\n    on_removed: {mode: delete, record: {email: "=lower(id)"}}'
    removal = job_of(load_changed(("mode: upsert", wish))).removal
    assert removal is not None
    assert removal.record == Object((("email", Expression("lower(id)")),))


def test_the_column_of_since_shapes_the_run_and_no_record(load_changed: Load) -> None:
    by = [
        load_changed(("    mode: upsert\n", f"    mode: upsert\n    send: {{since: {column}}}\n")).jobs[0]
        for column in ("updated_at", "version")
    ]
    assert by[0].spec_hash != by[1].spec_hash
    assert by[0].mapping_hash == by[1].mapping_hash


def test_send_since_schedule_every_budget_and_compression_are_taken(load_changed: Load) -> None:
    more = """mode: upsert
    send: {since: updated_at}
    schedule: {every: 15m}
    budget: {invalid: 2%, rejected: 1}
    compression: smaller"""
    job = job_of(load_changed(("mode: upsert", more)))
    assert job.send == Send(what="since", since="updated_at")
    assert job.schedule == Schedule(every=timedelta(minutes=15))
    assert job.budget == Budget(invalid=Limit(percent=2.0), rejected=Limit(count=1))
    assert job.compression == "smaller"


def test_a_lookup_may_answer_into_a_table(load_changed: Load) -> None:
    results = job_of(load_changed(("{path: out/checks.csv}", "{path: out/a.db, table: checks}")), "checks").results
    assert results is not None
    assert (results.format, results.table) == ("sqlite", "checks")


def test_a_source_that_is_a_job_reads_its_results_and_comes_after_it(load_changed: Load, tmp_path: Path) -> None:
    deployment = load_changed(("{path: guests.csv,", "{job: checks,"))
    assert [one.name for one in deployment.jobs] == ["checks", "guests"]
    guests = job_of(deployment)
    assert guests.depends_on == ("checks",)
    assert guests.source.job == "checks"
    assert (guests.source.path, guests.source.format) == (str(tmp_path / "out/checks.csv"), "csv")


def test_jobs_keep_the_order_of_the_file_where_nothing_depends(workshop: Workshop) -> None:
    block = "    source: {path: a.csv, key: id}\n    target: {connection: crm, schema: guest}\n    mode: upsert\n"
    block += "    record: {email: =id}\n"
    jobs = {"d": "[b]", "c": "[]", "b": "[a]", "a": "[]", "e": "[]"}
    head = workshop.whole.partition("jobs:\n")[0] + "jobs:\n"
    text = head + "".join(f"  {name}:\n{block}    depends_on: {of}\n" for name, of in jobs.items())
    assert [one.name for one in workshop.load(text).jobs] == ["c", "a", "b", "d", "e"]


def test_vendors_can_be_given(workshop: Workshop) -> None:
    given = {name: load_vendor(name) for name in ("sitecore-cdp", "motorweb-bdp")}
    assert workshop.load(workshop.whole, vendors=given).jobs == workshop.load(workshop.whole).jobs
    (problem,) = workshop.problems(workshop.whole, vendors={"sitecore-cdp": given["sitecore-cdp"]})
    assert 'there is no vendor "motorweb-bdp"' in problem


def test_a_vendor_folder_is_relative_to_the_file(workshop: Workshop) -> None:
    (problem,) = workshop.problems(workshop.changed(("vendor: motorweb-bdp", "vendor: ./mine")))
    assert problem.startswith(f"jobs.yaml:8:13: there is no vendor.yaml in {workshop.path.parent / 'mine'}")


def test_a_byte_order_mark_and_windows_line_ends_are_read(workshop: Workshop) -> None:
    content = b"\xef\xbb\xbf" + workshop.whole.replace("\n", "\r\n").encode()
    assert workshop.load(content).jobs == workshop.load(workshop.whole).jobs


def test_the_bundled_jobs_load_without_any_secret(pytestconfig: pytest.Config) -> None:
    assert load(pytestconfig.rootpath / "jobs.yaml", environ={}).jobs


# ---- the spec hash -------------------------------------------------------------------------------------------------


def hash_of(load_changed: Load, *changes: tuple[str, str], **more: Any) -> str:
    return job_of(load_changed(*changes, **more)).spec_hash


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
def test_what_shapes_the_records_changes_the_spec_hash(load_changed: Load, change: tuple[str, str]) -> None:
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
def test_what_shapes_no_record_leaves_the_spec_hash_alone(load_changed: Load, change: tuple[str, str]) -> None:
    assert hash_of(load_changed, change) == hash_of(load_changed)


def test_a_value_from_the_environment_is_in_the_spec_hash(load_changed: Load) -> None:
    change = ("guestType: customer", 'city: "${CITY}"')
    one, two = (hash_of(load_changed, change, environ={"CITY": city}) for city in ("Bluff", "Cape Reinga"))
    assert one != two


def test_a_spec_hash_is_the_same_on_every_machine(load_changed: Load) -> None:
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
def test_what_makes_a_record_of_its_values_is_in_the_mapping_hash(load_changed: Load, change: tuple[str, str]) -> None:
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
def test_how_values_are_read_and_what_is_removed_is_not_in_the_mapping_hash(
    load_changed: Load, change: tuple[str, str]
) -> None:
    assert mapping_of(load_changed, change) == mapping_of(load_changed)


def test_whom_to_tell_and_when_is_in_the_spec_hash_and_not_in_the_mapping_hash(load_changed: Load) -> None:
    plain = job_of(load_changed(), "checks")
    changes = ("service: Vehicle ID", "service: Vehicle ID, email: a@example.com")
    told = job_of(load_changed(changes), "checks")
    assert told.mapping_hash == plain.mapping_hash
    assert told.spec_hash != plain.spec_hash
    other = job_of(load_changed(("service: Vehicle ID", "service: Another")), "checks")
    assert other.mapping_hash != plain.mapping_hash


def test_a_removal_has_a_mapping_hash_of_its_own_mode_and_record(load_changed: Load) -> None:
    def removal_hash(wish: str, *more: tuple[str, str]) -> str:
        removal = job_of(load_changed(("mode: upsert", f"mode: upsert\n    on_removed: {wish}"), *more)).removal
        assert removal is not None
        return removal.mapping_hash

    plain = removal_hash("delete")
    assert removal_hash("delete", ("email: =lower(email)", "email: =email")) == plain
    assert removal_hash("gdpr_delete") != plain
    assert removal_hash('{mode: delete, record: {email: "=lower(id)"}}') != plain


def test_no_place_is_in_what_is_compared(load_changed: Load) -> None:
    assert load_changed(("version: 1\n", "\n\nversion: 1\n")) == load_changed()


def test_everything_knows_its_place(load_changed: Load) -> None:
    deployment = load_changed()
    checks = job_of(deployment, "checks")
    assert checks.results is not None
    parts = (checks, checks.source, checks.record, checks.results, deployment.connections["crm"])
    assert [(one.place.line, one.place.column) for one in parts] == [(19, 3), (20, 5), (23, 13), (24, 21), (3, 3)]


def test_threads_and_memory_stand_at_the_top_and_leave_the_hash_of_a_job_alone(load_changed: Load) -> None:
    plain = load_changed()
    assert plain.resources == Resources(threads=None, memory="normal")
    found = load_changed(("version: 1", "version: 1\nthreads: 2\nmemory: small"))
    assert found.resources == Resources(threads=2, memory="small")
    assert [one.spec_hash for one in found.jobs] == [one.spec_hash for one in plain.jobs]


@pytest.mark.parametrize("wrong", ["threads: 0", "threads: 1.5", "threads: many", "threads: yes", "memory: tiny"])
def test_threads_and_memory_that_make_no_sense_are_refused(load_changed: Load, wrong: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_changed(("version: 1", f"version: 1\n{wrong}"))
    assert [one.line for one in raised.value.problems] == [2]
