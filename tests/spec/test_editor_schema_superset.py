"""No generated jobs.yaml that batchsync accepts is refused by its JSON Schema."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.spec.broken_files import ENVIRON, VALID
from tests.spec.conftest import Workshop

from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.errors import SpecError
from batchsync.spec import load
from batchsync.spec.check_literal import literal_objection
from batchsync.spec.compile_schedule import cron_objection
from batchsync.spec.credentials import credential_objection, proxy_objection
from batchsync.spec.json_schema_records import literal_schema
from kit.schemas import errors_of, read_yaml, schema_errors, text_errors

if TYPE_CHECKING:
    from pathlib import Path

#: Values for keys of every kind: valid, almost valid, and references to variables.
_VALUES: list[Any] = [
    *("", " ", "a", "id", "5", "5%", "10 or 5%", "100.0%", "1d", "0d", "3660d", "forever", "${ONE}", "${NAME:-upsert}"),
    *(
        "a.csv",
        "A.CSV.GZ",
        "b.parquet",
        "c.JSON",
        "d.xlsx",
        "x/*.txt",
        "-",
        "s3://a/b.csv",
        "out/é.c\\u017fv",
        "${PATH_}",
        "a.db",
    ),
    *(
        "https://api.tst.motorweb.app",
        "HTTPS://API.tst.motorweb.app:443/x",
        "http://localhost:1",
        "http://127.1.2.3:8/",
    ),
    *(
        "=id",
        "==x",
        "== x",
        "ignore",
        "delete",
        "gdpr_delete",
        "upsert",
        "insert",
        "lookup",
        "guest",
        "order",
        "vehicle",
    ),
    *(
        "utf-8",
        "cp1252",
        "LATIN_1",
        ";",
        "\t",
        "'",
        "#",
        "csv",
        "parquet",
        "excel",
        "hold",
        "fail",
        "first",
        "all",
        "keep",
    ),
    *(
        "0 2 * * *",
        "*/5 0-23 L jan-mar MON#1",
        "UTC",
        "crm",
        "cars",
        "shop",
        "mart",
        "lake",
        "guests",
        "checks",
        "A3:F",
    ),
    *(
        0,
        1,
        5,
        -1,
        1.5,
        True,
        False,
        [],
        ["id"],
        ["id", "id"],
        ["${ONE}"],
        {},
        {"id": "id"},
        {"since": "at"},
        {"by": "at"},
    ),
    {"mode": "delete", "record": {"email": "=id"}},
    {"column": "at", "max_age": "1d"},
    {"email": {"not_null": True}},
    *("2.0", 2.1, [["email"], ["id"]]),
]
#: Shrinking a whole file takes minutes; the failing file is printed as it was generated.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
_NUMBERS = {"ONE": "1", "NAME": "delete", "PATH_": "a.csv", "TRUE": "true"}


def paths_of(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values of a document."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(below for key, value in items for below in paths_of(value, (*path, key)))]


def written(document: Any) -> str:
    """Return a document as YAML: JSON is YAML whose texts are quoted."""
    return json.dumps(document, indent=1, ensure_ascii=False)


def base() -> Any:
    """Return the valid file as a document."""
    return read_yaml(VALID)


_KEYS = [
    *("path", "job", "connection", "query", "table", "delta", "version", "since", "format", "delimiter", "encoding"),
    *(
        "header",
        "columns",
        "freshness",
        "on_breach",
        "skip_rows",
        "comment",
        "quote",
        "escape",
        "sheet",
        "range",
        "nulls",
    ),
    *("where", "duplicates", "personal", "send", "on_removed", "results", "schedule", "guards", "budget", "on_null"),
    *("renamed_from", "depends_on", "compression", "mode", "schema", "service", "email", "scheduledDate", "record"),
    *("cron", "timezone", "every", "max_remove", "min_rows", "invalid", "proxy", "poll_every", "storage_hosts", "url"),
    *("bucket", "prefix", "region", "endpoint", "account", "base_url", "anonymous", "credentials", "threads", "memory"),
    *("data_model", "identity_rules", "allow_unknown"),
    *("gender", "title", "firstName", "phoneNumbers", "each", "order_by", "points", "price", "status", "id", "key"),
]
_EDITS = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.sampled_from(["set", "add", "drop"]), st.sampled_from(_KEYS), st.sampled_from(_VALUES)
    ),
    min_size=1,
    max_size=4,
)


def edited(edits: list[tuple[int, str, str, Any]]) -> Any:
    """Return the valid file with values replaced, keys added and keys left out."""
    document = base()
    for number, kind, key, value in edits:
        paths = paths_of(document)[1:]
        path = paths[number % len(paths)]
        parent: Any = document
        for step in path[:-1]:
            parent = parent[step]
        if kind == "drop":
            del parent[path[-1]]
        elif kind == "add" and isinstance(parent[path[-1]], dict):
            parent[path[-1]][key] = deepcopy(value)
        else:
            parent[path[-1]] = deepcopy(value)
    return document


@given(edits=_EDITS)
@settings(max_examples=100, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(edits=[])
def test_accepted_file_is_not_refused_by_the_schema(tmp_path: Path, edits: list[tuple[int, str, str, Any]]) -> None:
    text = written(edited(edits))
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load(path, environ=ENVIRON | _NUMBERS)
    except SpecError:
        return
    assert text_errors(text) == (), text


@given(cron=st.from_regex(r"[0-9*/,LWa-z#-]{1,6}( [0-9*/,LWa-zA-Z#-]{1,7}){4}", fullmatch=True))
@example(cron="*/90 007-23/2 LW,1-31/3 jan,FEB-12 1#5,7,sunL")
def test_cron_lines_of_batchsync_are_of_the_schema(cron: str) -> None:
    if not cron_objection(cron):
        document = base()
        document["jobs"]["guests"]["schedule"] = {"cron": cron}
        assert schema_errors(document) == []


@given(text=st.from_regex(r"(\$\{[A-Za-z_:/ -]{0,6}\}|http://|[a-z.:0-9@]{1,4}|:[0-9]{1,5}){1,5}", fullmatch=True))
@example(text="http://${USER}:${file:/run/p}@proxy:3128/")
def test_references_and_proxies_of_batchsync_are_of_the_schema(text: str) -> None:
    document = base()
    if not credential_objection(text):
        document["connections"]["cars"]["credentials"]["client_id"] = text
    if not proxy_objection(text):
        document["connections"]["cars"]["proxy"] = text
    assert schema_errors(document) == []


_RULES = st.builds(
    Rule,
    kind=st.sampled_from([Kind.STRING, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.SCALAR]),
    format=st.none() | st.sampled_from(list(Format)),
    enum=st.sampled_from([(), ("a", "b")]),
    pattern=st.sampled_from(["", "^[a-z]+$", r"^\d+$", "(?i)^a$"]),
    min_length=st.none() | st.integers(0, 3),
    max_length=st.none() | st.integers(3, 30),
)
_LITERALS = (
    st.text(max_size=6)
    | st.integers(-9, 9)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.emails()
    | st.sampled_from(["a", "NZ", "NZD", "2025-03-07T16:15:11.123Z", "1985-12-24T00:00Z", "jürgen@bücher.example"])
    | st.uuids().map(str)
)


@given(rule=_RULES, value=_LITERALS)
@settings(max_examples=300)
def test_literals_of_batchsync_are_of_the_schema(rule: Rule, value: str | float) -> None:
    if literal_objection(value, rule) is None:
        assert errors_of(value, literal_schema(rule, "")) == []


def test_edits_reach_every_block_of_the_valid_file(tmp_path: Path) -> None:
    assert len(paths_of(base())) > 100
    assert Workshop(tmp_path).load(written(base()), ENVIRON).jobs
