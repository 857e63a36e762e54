"""Makes `benchmarks` and `tools`, which are not installed, importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
