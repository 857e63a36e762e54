"""dlt and pandas over the same CSV, in the interpreter of a virtual environment that has them. No part of the project.

`PYTHON benchmarks/peers.py dlt|pandas SOURCE.csv FOLDER ROWS` prints one line of JSON. Both use the naive script's
checks and mapping; dlt writes jsonl.gz in its own layout.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
naive: Any = importlib.import_module("benchmarks.naive")

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


def main() -> None:
    """Measure."""
    what, source, folder, most = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    importlib.import_module(what)
    begin = time.perf_counter()
    sent = {"dlt": with_dlt, "pandas": with_pandas}[what](source, folder, most)
    print(json.dumps({"rows": most, "sent": sent, "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
