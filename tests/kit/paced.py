"""`python -m kit.paced`: lading itself, but its files hold few rows, and making them stops at one of them until told.

In the environment: PACED_ROWS is the most rows of a file and of a frame; PACED_AFTER how many files are made before the
halt (none: no halt); PACED_GO the file whose appearance ends it. While it lasts, a file `<PACED_GO>.waits` is there.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import lading.app
from lading.cli import main
from lading.data import Columnar, read, stage
from lading.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lading.core.batch import BatchFile
    from lading.core.vendor_rules import VendorRules


def _small(name: str) -> VendorRules:
    rules = load_vendor(name)
    return replace(rules, file=replace(rules.file, rows_max=int(os.environ["PACED_ROWS"])))


def _paced(original: Callable[..., Iterator[BatchFile]], after: int, go: Path) -> Callable[..., Iterator[BatchFile]]:
    def stage_each(self: Columnar, *given: Any) -> Iterator[BatchFile]:
        stopped = given[-1]
        files = original(self, *given)
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
    for module in (read, stage):
        vars(module)["FRAME_ROWS"] = int(os.environ["PACED_ROWS"])
    vars(stage)["FEW"] = 1
    vars(lading.app)["load_vendor"] = _small
    if os.environ.get("PACED_AFTER"):
        halt = _paced(Columnar.stage_each, int(os.environ["PACED_AFTER"]), Path(os.environ["PACED_GO"]))
        mock.patch.object(Columnar, "stage_each", halt).start()
    sys.exit(main())
