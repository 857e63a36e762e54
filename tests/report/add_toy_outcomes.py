"""Plugin of pytest that gives `RowOutcome` two more members: `python -m pytest -p add_toy_outcomes FILE`.

The module of the enumeration is imported from a copy with two more lines; every other file is as it is. `postponed` is
assigned by the comparison, `trimmed` to rows of a batch that the vendor took in part.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = "batchsync.core.row_outcome"
BEFORE = '    DEFERRED = "deferred"\n'
ADDED = """    POSTPONED = "postponed"
    TRIMMED = "trimmed", OutcomeTraits(of_batch=True, listed=True, budget="rejected")
"""

original = find_spec(NAME)
assert original is not None
assert original.origin is not None
source = Path(original.origin).read_text(encoding="utf-8")
assert source.count(BEFORE) == 1
with TemporaryDirectory() as folder:
    copy = Path(folder) / "row_outcome.py"
    copy.write_text(source.replace(BEFORE, BEFORE + ADDED), encoding="utf-8")
    spec = spec_from_file_location(NAME, copy)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[NAME] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])
