"""Vendors as the program of the mocks takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.spec.vendor_spec import is_available, load_vendor, vendor_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.core.connection import Connection


def mock_sources(connections: Iterable[Connection]) -> list[str]:
    """Return the vendors of connections, each once, with their folders: `NAME=FOLDER`.

    The folder describes a vendor without a mock of its own. One whose client is a Python package has only its name.

    Args:
        connections: The connections.

    Raises:
        UsageError: If a vendor does not exist.
        SpecError: If its files are invalid.
    """
    return sorted({_source(item.vendor) for item in connections})


def named_source(vendor: str) -> str:
    """Return a bundled or installed vendor with its folder, and what names no such vendor as it is.

    Raises:
        SpecError: If the files of the vendor are invalid.
    """
    return _source(vendor) if is_available(vendor) else vendor


def _source(vendor: str) -> str:
    """Return a vendor with its folder, if its spec has what a mock can be made from."""
    rules = load_vendor(vendor)
    return rules.name if rules.dialect is None else f"{rules.name}={vendor_folder(vendor)}"
