"""What the tests of the core share stands beside them in `core_samples`."""

from __future__ import annotations

import sys
from pathlib import Path

# Test folders are no packages, so what several test files share is found by its folder.
sys.path.insert(0, str(Path(__file__).parent))
