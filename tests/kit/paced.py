"""`python -m kit.paced`: batchsync with small batch files, which pauses after a number of files until it is released.

Environment variables: PACED_ROWS is the maximum of rows in a file and in a frame; PACED_AFTER the number of files
before the pause (empty: no pause); PACED_GO the path of a file that ends the pause. The file `<PACED_GO>.waits` marks
the pause.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import batchsync.app
from batchsync.cli import main
from batchsync.data import PolarsEngine
from batchsync.data.batchfile import prepare
from batchsync.data.row import partitions
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batchsync.core.batch import BatchFile
    from batchsync.core.vendor_rules import VendorRules


def _small(name: str, settings: Mapping[str, str]) -> VendorRules:
    rules = load_vendor(name, settings)
    return replace(rules, file=replace(rules.file, rows_max=int(os.environ["PACED_ROWS"])))


def _paced(original: Callable[..., Iterator[BatchFile]], after: int, go: Path) -> Callable[..., Iterator[BatchFile]]:
    def stage_each(self: PolarsEngine, *arguments: Any) -> Iterator[BatchFile]:
        stopped = arguments[-1]
        files = original(self, *arguments)
        number = 0
        while True:
            if number == after:
                go.with_name(f"{go.name}.waits").touch()
                while not go.exists() and not stopped():
                    time.sleep(0.01)
            file = next(files, None)
            if file is None:
                return
            yield file
            number += 1

    return stage_each


if __name__ == "__main__":
    for module in (partitions, prepare):
        vars(module)["FRAME_ROWS"] = int(os.environ["PACED_ROWS"])
    vars(prepare)["MIN_TASK_ROWS"] = 1
    vars(batchsync.app)["load_vendor"] = _small
    if os.environ.get("PACED_AFTER"):
        paced = _paced(PolarsEngine.stage_each, int(os.environ["PACED_AFTER"]), Path(os.environ["PACED_GO"]))
        mock.patch.object(PolarsEngine, "stage_each", paced).start()
    sys.exit(main())
