"""Fuzzing of everything that parses foreign input: only declared errors may come out.

`PYTHONPATH=tests python -m fuzz csv --seconds 3600` runs one target; `tests/fuzz/test_targets.py` runs each for a short
time. An input that raises something else is printed with the seed and number that give it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The helper modules of these tests are found beside them.
sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("data", "vendors")]
