"""Names of the settings of bundled vendors, which decide whether values of a connection are shown."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_BLOCK = re.compile(r"^settings:\s*(?:#.*)?\n((?:[ #].*\n|\n)+)", re.MULTILINE)
_NAME = re.compile(r"^  ([a-z][a-z0-9_]*):", re.MULTILINE)


@cache
def bundled_setting_names() -> frozenset[str]:
    """Return the names of the settings of all bundled vendors, without parsing their specs."""
    specs = (folder / "vendor.yaml" for folder in files("batchsync_specs").iterdir() if folder.is_dir())
    return frozenset(name for spec in specs if spec.is_file() for name in _names_in(spec))


def _names_in(spec: Traversable) -> Iterator[str]:
    block = _BLOCK.search(spec.read_text(encoding="utf-8"))
    return (match[1] for match in _NAME.finditer(block[1] if block else ""))
