"""Make `core_samples` importable."""

from __future__ import annotations

import sys
from pathlib import Path

# Test folders are no packages; shared modules are found by their folder.
sys.path.insert(0, str(Path(__file__).parent))
