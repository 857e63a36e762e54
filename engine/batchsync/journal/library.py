"""The SQLite library, imported without what it would only drag in. It does not know the journal.

sqlite_utils imports numpy and pandas where it finds them, to store their scalars. The journal stores none, and a
command that only reads it would wait for them, which is a quarter of the whole of `batchsync status`.
"""

from __future__ import annotations

import sys
from typing import Any, cast

_hidden = [name for name in ("numpy", "pandas") if name not in sys.modules]
# None is how Python spells that a module is not to be had.
sys.modules.update(dict.fromkeys(_hidden, cast("Any", None)))
try:
    from sqlite_utils import Database, Migrations
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = ["Database", "Migrations"]
