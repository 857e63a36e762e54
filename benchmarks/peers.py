"""The same work with dlt, pandas and drt, in a Python interpreter that has them installed.

`PYTHON benchmarks/peers.py dlt|pandas|drt SOURCE.csv FOLDER ROWS` prints one line of JSON. All use the checks and the
mapping of naive.py. dlt writes jsonl.gz in its own layout. drt's staged upload collects all records in memory and sends
them as one uncompressed body to a local server that accepts everything. None of them is a dependency of the project.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
naive: Any = importlib.import_module("benchmarks.naive")
peak_usage: Any = importlib.import_module("benchmarks.memory").peak_usage

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_dlt(source: Path, folder: Path, rows_max: int) -> int:
    """Extract and normalize with dlt into a folder of files; return the number of records."""
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "false"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = folder.absolute().as_uri()
    dlt: Any = importlib.import_module("dlt")
    sent = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal sent
        with source.open(encoding="utf-8", newline="") as stream:
            for row in islice(csv.DictReader(stream), rows_max):
                if not naive.reasons(row):
                    sent += 1
                    yield naive.record(row)

    resource = dlt.resource(rows, name="guests", max_table_nesting=0)
    pipeline = dlt.pipeline("benchmark", pipelines_dir=str(folder / "state"), destination="filesystem")
    pipeline.extract(resource, loader_file_format="jsonl")
    pipeline.normalize()
    return sent


def with_pandas(source: Path, folder: Path, rows_max: int) -> int:
    """Read with pandas, convert rows to dicts and write gzipped JSON; return the number of records."""
    pandas: Any = importlib.import_module("pandas")
    sent = 0
    chunks = pandas.read_csv(source, dtype=str, keep_default_na=False, chunksize=100_000, nrows=rows_max)
    with gzip.open(folder / "pandas.json.gz", "wb") as out:
        for chunk in chunks:
            for row in chunk.to_dict("records"):
                if not naive.reasons(row):
                    sent += 1
                    out.write(naive.line(row))
    return sent


class _AcceptingHandler(BaseHTTPRequestHandler):
    """Handler that accepts every request and reports success."""

    def do_POST(self) -> None:
        """Discard the body and report success."""
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 20))):
            left -= len(chunk)
        self.do_GET()

    def do_GET(self) -> None:
        """Report success."""
        body = b'{"id":"1","status":"SUCCEEDED"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def with_drt(source: Path, _folder: Path, rows_max: int) -> int:
    """Stage, upload, trigger and poll with drt's staged upload; return the number of records.

    Raises:
        SystemExit: If drt reports an error.
    """
    models: Any = importlib.import_module("drt.config.models")
    destination: Any = importlib.import_module("drt.destinations.staged_upload").StagedUploadDestination()
    options, sent = models.SyncOptions(), 0
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), _AcceptingHandler) as server,
        source.open(encoding="utf-8", newline="") as stream,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        phase = {"url": f"http://127.0.0.1:{server.server_port}/"}
        config = models.StagedUploadDestinationConfig(
            type="staged_upload", format="jsonl", stage=phase, trigger=phase, poll=phase
        )
        rows = islice(csv.DictReader(stream), rows_max)
        while chunk := list(islice(rows, 1000)):
            destination.stage([naive.record(row) for row in chunk if not naive.reasons(row)], config, options)
        result = destination.finalize(config, options)
        sent = result.success
        server.shutdown()
    if result.errors:
        raise SystemExit(f"drt: {result.errors[0]}")
    return int(sent)


def main() -> None:
    """Measure the work of a library and print the result."""
    name, source, folder, rows_max = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    importlib.import_module(name)
    begin = time.perf_counter()
    sent = {"dlt": with_dlt, "pandas": with_pandas, "drt": with_drt}[name](source, folder, rows_max)
    print(json.dumps({"rows": rows_max, "sent": sent, "seconds": time.perf_counter() - begin} | peak_usage()))


if __name__ == "__main__":
    main()
