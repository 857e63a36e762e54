"""The benchmarks are no package that is installed, so the house tests find them by their folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
