"""PostgreSQL as a source: `python -m benchmarks.postgresql --rows 5000000`, on a private cluster of this machine.

Compared are, each in a process of its own: the driver's record batches written to Parquet as they come (the bound of
landing), landing, `COPY` to CSV by psql, and `batchsync sync` to settled batches from the query and from that CSV.
Needs the programs of a PostgreSQL server. Only ratios within one run are meaningful.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import memory, whole

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from kit import postgresql

_COLUMNS = """
    g AS id, 'user' || g || '@example.com' AS email, 'First' || g % 1000 AS first_name, 'Last' || g % 5000 AS last_name,
    CASE g % 3 WHEN 0 THEN NULL ELSE 'Mr' END AS title, (ARRAY['male', 'female', 'unknown'])[g % 3 + 1] AS gender,
    DATE '1950-01-01' + g % 20000 AS birth_date, '+64 21 ' || g AS phone, 'en' AS language, 'NZ' AS nationality,
    g % 400 || ' Queen Street' AS street, 'Auckland' AS city, lpad((g % 9999)::text, 4, '0') AS postcode,
    TIMESTAMP '2020-01-01 00:00' + g * INTERVAL '7 s' AS first_seen,
    TIMESTAMP '2026-01-01 00:00' + g * INTERVAL '1 s' AS last_seen, g % 7 = 0 AS newsletter, g % 100000 AS points,
    (g % 1000000 / 100.0)::numeric(12,2) AS spend, (g % 977)::float8 / 7 AS score,
    CASE WHEN g % 5 = 0 THEN repeat('note ', 8) END AS note
"""
_JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {{client_key: "${{BENCHMARK_KEY}}", api_token: "${{BENCHMARK_TOKEN}}"}}
  warehouse: {{database: postgres, host: {host}, dbname: postgres, user: test}}
jobs:
  guests:
    source: {{{source}, key: id}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record:
      guestType: customer
      title: =title
      firstName: =first_name
      lastName: =last_name
      gender: =gender
      dateOfBirth: =CAST(birth_date AS DATE)
      email: =email
      phoneNumbers: [=phone]
      language: =language
      nationality: =nationality
      street: [=street]
      city: =city
      postCode: =postcode
      firstSeen: =CAST(first_seen AS TIMESTAMPTZ)
      lastSeen: =CAST(last_seen AS TIMESTAMPTZ)
      identifiers: [{{provider: CRM, id: =CAST(id AS TEXT)}}]
      extensions:
        - {{name: ext, key: default, points: =CAST(points AS BIGINT), spend: =CAST(spend AS DOUBLE PRECISION),
           score: =CAST(score AS DOUBLE PRECISION), note: =note}}
    guards: {{}}
"""
_QUERY = "SELECT * FROM guests"
_DRIVER = """
import adbc_driver_postgresql.dbapi as dbapi, pyarrow.parquet as pq, sys
with dbapi.connect(f"host='{sys.argv[1]}' dbname=postgres user=test") as connection, connection.cursor() as cursor:
    cursor.execute(sys.argv[2])
    with cursor.fetch_record_batch() as reader:
        with pq.ParquetWriter(sys.argv[3], reader.schema, compression="lz4") as writer:
            for batch in reader:
                writer.write_batch(batch)
"""
_LANDING = """
import sys
from pathlib import Path
from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.source import fetch
server = Server(host=sys.argv[1], dbname="postgres", user="test")
query = Query(database=Database(name="warehouse", kind="postgres", server=server), sql=sys.argv[2])
fetch(Source(path="x", folder="/", key=("id",), query=query), Path(sys.argv[3]))
"""


def main() -> None:
    """Create the rows, run all measurements and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgresql", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="Number of guests (default: 1000000)")
    parser.add_argument("--only-landing", action="store_true", help="Leave out `batchsync sync`")
    arguments = parser.parse_args()
    with (
        postgresql.cluster(shared_buffers="128MB", statement_timeout="0") as cluster,
        tempfile.TemporaryDirectory() as name,
    ):
        rows, folder = arguments.rows, Path(name)
        cluster.execute(
            f"CREATE UNLOGGED TABLE guests AS SELECT {_COLUMNS} FROM generate_series(1, {rows}) AS g",  # noqa: S608 - constant
        )
        size = int(cluster.execute("SELECT pg_total_relation_size('guests')"))
        print(f"{rows:,} rows of 20 columns, {size >> 20:,} MiB in PostgreSQL")
        host = str(cluster.folder)
        csv = folder / "guests.csv"
        copy = [str(part) for part in cluster.psql("-c", f"\\copy guests TO '{csv}' CSV HEADER")]
        _measured(
            "warm up: SELECT count(*)", [str(part) for part in cluster.psql("-c", "SELECT count(*) FROM guests")], rows
        )
        bound = _measured("driver to Parquet", [sys.executable, "-c", _DRIVER, host, _QUERY, str(folder / "a")], rows)
        landed = _measured("landing", [sys.executable, "-c", _LANDING, host, _QUERY, str(folder / "b")], rows)
        copied = _measured("COPY to CSV", copy, rows)
        print(f"landing: {bound / landed:.0%} of the driver's speed, {copied / landed:.0%} of that of COPY to CSV")
        for item in (folder / "a", *folder.glob("b/*")):
            item.unlink()
        if arguments.only_landing:
            return
        synced = asyncio.run(
            _synced(_project(folder / "query", host, f"connection: warehouse, query: {_QUERY}"), "sync, query")
        )
        from_csv = asyncio.run(_synced(_project(folder / "csv", host, f"path: {csv}"), "sync, CSV"))
        print(
            f"sync from the query: {from_csv / synced:.0%} of the speed from the CSV, "
            f"{(from_csv + copied) / synced:.0%} of it with COPY"
        )


def _measured(name: str, command: list[str], rows: int) -> float:
    """Run a command, print its speed and memory, and return its seconds."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with process, memory.UsageSampler(process.pid) as sampler:
        code = process.wait()
    seconds = time.perf_counter() - begin
    if code:
        raise SystemExit(f"{name} failed with exit code {code}")
    _print(name, rows, seconds, sampler.peak_usage())
    return seconds


def _project(folder: Path, host: str, source: str) -> Path:
    """Create the folder of a project."""
    folder.mkdir()
    (folder / "jobs.yaml").write_text(_JOBS.format(host=host, source=source), encoding="utf-8")
    return folder


async def _synced(folder: Path, name: str) -> float:
    """Run `batchsync sync` against mocks, print its speed and memory, and return its seconds."""
    async with whole.serve_mocks(folder):
        found: dict[str, Any] = await whole.sync(folder, Path("unused"))
    if found["sent"] != found["rows"]:
        raise SystemExit(f"{name}: {found['rows'] - found['sent']:,} rows were not accepted")
    _print(name, found["rows"], found["seconds"], found)
    print(json.dumps({name: round(value, 1) for name, value in found["parts"].items()}))
    return float(found["seconds"])


def _print(name: str, rows: int, seconds: float, usage: dict[str, Any]) -> None:
    load = os.getloadavg()[0]
    print(
        f"{name:26} {seconds:7.1f} s {rows / seconds / 1000:7.0f} k rows/s, processor {usage['cpu']:6.1f} s, "
        f"peak {usage['peak']:5.0f} MiB, of it {usage['anon']:5.0f} anonymous (load {load:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
