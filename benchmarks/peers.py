"""dlt, pandas and drt over the same CSV, in the interpreter of a virtual environment that has them.

`PYTHON benchmarks/peers.py dlt|pandas|drt SOURCE.csv FOLDER ROWS` prints one line of JSON. All use the naive script's
checks and mapping. dlt writes jsonl.gz in its own layout. drt's staged upload gathers all records in memory and sends
them as one body, uncompressed, to a server of ours that takes anything. None of them is part of the project.
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
high_water: Any = importlib.import_module("benchmarks.memory").high_water

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_dlt(source: Path, folder: Path, most: int) -> int:
    """Extract and normalize through dlt into a folder of files."""
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "false"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = folder.absolute().as_uri()
    dlt: Any = importlib.import_module("dlt")
    sent = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal sent
        with source.open(encoding="utf-8", newline="") as stream:
            for row in islice(csv.DictReader(stream), most):
                if not naive.reasons(row):
                    sent += 1
                    yield naive.record(row)

    resource = dlt.resource(rows, name="guests", max_table_nesting=0)
    pipeline = dlt.pipeline("benchmark", pipelines_dir=str(folder / "state"), destination="filesystem")
    pipeline.extract(resource, loader_file_format="jsonl")
    pipeline.normalize()
    return sent


def with_pandas(source: Path, folder: Path, most: int) -> int:
    """Read with pandas, go through its rows as dicts, write JSON and gzip at the default level."""
    pandas: Any = importlib.import_module("pandas")
    sent = 0
    chunks = pandas.read_csv(source, dtype=str, keep_default_na=False, chunksize=100_000, nrows=most)
    with gzip.open(folder / "pandas.json.gz", "wb") as out:
        for chunk in chunks:
            for row in chunk.to_dict("records"):
                if not naive.reasons(row):
                    sent += 1
                    out.write(naive.line(row))
    return sent


class _Anything(BaseHTTPRequestHandler):
    """Takes whatever is sent and says that it is done."""

    def do_POST(self) -> None:
        """Read the body away."""
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (piece := self.rfile.read(min(left, 1 << 20))):
            left -= len(piece)
        self.do_GET()

    def do_GET(self) -> None:
        """Say that all is well."""
        said = b'{"id":"1","status":"SUCCEEDED"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def with_drt(source: Path, _folder: Path, most: int) -> int:
    """Stage records with drt's staged upload, and let it upload, trigger and poll."""
    models: Any = importlib.import_module("drt.config.models")
    destination: Any = importlib.import_module("drt.destinations.staged_upload").StagedUploadDestination()
    options, sent = models.SyncOptions(), 0
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), _Anything) as server,
        source.open(encoding="utf-8", newline="") as stream,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        phase = {"url": f"http://127.0.0.1:{server.server_port}/"}
        config = models.StagedUploadDestinationConfig(
            type="staged_upload", format="jsonl", stage=phase, trigger=phase, poll=phase
        )
        rows = islice(csv.DictReader(stream), most)
        while several := list(islice(rows, 1000)):
            destination.stage([naive.record(row) for row in several if not naive.reasons(row)], config, options)
        result = destination.finalize(config, options)
        sent = result.success
        server.shutdown()
    if result.errors:
        raise SystemExit(f"drt: {result.errors[0]}")
    return int(sent)


def main() -> None:
    """Measure."""
    what, source, folder, most = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    importlib.import_module(what)
    begin = time.perf_counter()
    sent = {"dlt": with_dlt, "pandas": with_pandas, "drt": with_drt}[what](source, folder, most)
    print(json.dumps({"rows": most, "sent": sent, "seconds": time.perf_counter() - begin} | high_water()))


if __name__ == "__main__":
    main()
