"""No expression of jobs.yaml reaches a table, a file or a URL, in whatever place it stands."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from batchsync.app import App
from batchsync.errors import SpecError
from batchsync.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOBS = """\
version: 1
connections:
  crm:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${K}", api_token: "${T}"}
jobs:
  guests:
    source: {path: guests.csv, key: KEY, where: "WHERE", duplicates: first}
    target: {connection: crm, schema: guest}
    mode: upsert
    on_removed: {mode: delete, record: {identifiers: [{provider: CRM, id: "REMOVED"}]}}
    record:
      guestType: customer
      email: "MEMBER"
      phoneNumbers: ["LISTED"]
      identifiers: [{each: {provider: CRM, id: "EACH"}, order_by: "ORDER"}]
"""
GOOD = {
    "KEY": "id", "WHERE": "id <> ''", "REMOVED": "=id", "MEMBER": "=email", "LISTED": "=phone", "EACH": "=id",
    "ORDER": "=email",
}  # fmt: skip
#: Functions that read tables, files or URLs, or run code, in polars and in engines with the same grammar.
_FUNCTIONS_TEXT = """
read_csv read_parquet read_ipc read_json read_ndjson read_delta read_csv_auto read_json_auto read_text read_blob
scan_csv scan_parquet scan_ipc scan_ndjson parquet_scan parquet_metadata parquet_schema sniff_csv glob iceberg_scan
delta_scan postgres_scan sqlite_scan mysql_scan st_read query query_table getenv current_setting pg_read_file
pg_read_binary_file pg_ls_dir pg_stat_file lo_import lo_export dblink dblink_exec query_to_xml table_to_xml
database_to_xml xmltable json_to_recordset jsonb_to_recordset json_table generate_series unnest explode flatten
load_file load_extension system shell exec eval python http_get http_post url curl copy
"""
FUNCTIONS = _FUNCTIONS_TEXT.split()
QUERIES = (
    "(SELECT 1)", "(SELECT x FROM read_csv('PATH'))", "id IN (SELECT x FROM self)", "EXISTS (SELECT 1)",
    "id = ANY (SELECT 1)", "id = ALL (VALUES ('1'))", "ARRAY(SELECT 1)", "(TABLE self)", "(VALUES (1))", "id FROM self",
    "CASE WHEN EXISTS (SELECT 1) THEN id END", "coalesce(id, (SELECT 1))", "(WITH x AS (SELECT 1) SELECT 1)",
    "id; SELECT 1", "id UNION SELECT 1", "(INSERT INTO x VALUES (1))", "(DELETE FROM self)", "id INTO x",
    "lower(id) OVER ()", "LATERAL (SELECT 1)", "id JOIN self", "'PATH'::regclass", "id -- x", "id /* x */",
    "count(*) OVER ()",
    "sElEcT 1", "(\tSELECT\n1)", "extract(year FROM (SELECT 1))", "substring(id FROM (SELECT 1))", "E'x'", "$$x$$",
)  # fmt: skip


@pytest.fixture
def visited(tmp_path: Path) -> Iterator[tuple[list[str], str]]:
    """A server that records each connection, and its URL."""
    connections: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(str(self.client_address))

    (tmp_path / "guests.csv").write_text("id,email,phone\n1,a@example.com,1\n1,b@example.com,2\n", encoding="utf-8")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield connections, f"http://127.0.0.1:{server.server_address[1]}/x.csv"
        server.shutdown()
        thread.join()


def problems(folder: Path, **written: str) -> list[str]:
    """Return the messages about a file with expressions in these places."""
    text = JOBS
    for place, good in GOOD.items():
        text = text.replace(f'"{place}"' if f'"{place}"' in text else f"key: {place}", "\0" + place)
        quoted = (
            written.get(place, good).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        )
        text = text.replace("\0" + place, f'{"key: " if place == "KEY" else ""}"{quoted}"')
    (folder / "jobs.yaml").write_text(text, encoding="utf-8")
    with App(Settings(file=folder / "jobs.yaml", state=folder / "state")) as app:
        try:
            return [problem.message for problem in app.check()[0]]
        except SpecError as error:
            return [problem.message for problem in error.problems]


def test_file_without_queries_is_valid(visited: tuple[list[str], str], tmp_path: Path) -> None:
    assert problems(tmp_path) == []
    assert visited[0] == []


@pytest.mark.parametrize("place", GOOD)
def test_queries_and_table_functions_are_refused_in_every_place(
    visited: tuple[list[str], str], tmp_path: Path, place: str
) -> None:
    connections, url = visited
    calls = [f"{name}('{url if index % 2 else tmp_path / 'guests.csv'}')" for index, name in enumerate(FUNCTIONS)]
    accepted = []
    for sql in (*(query.replace("PATH", url) for query in QUERIES), *calls, *(f"id = {call}" for call in calls[::7])):
        found = problems(tmp_path, **{place: sql if place == "WHERE" else f"={sql}"})
        if not found:
            accepted.append(sql)
    assert accepted == []
    assert connections == []
