"""Vendors as the program of the mocks takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.spec.vendor_spec import is_available, load_vendor, vendor_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.core.connection import Connection


def mock_arguments(connections: Iterable[Connection]) -> list[str]:
    """Return the arguments that make the mocks accounts of connections.

    These are the vendors, each once, with their folders: `NAME=FOLDER`. The folder describes a vendor without a mock of
    its own; one whose client is a Python package has only its name. Settings follow as `--setting NAME.KEY=VALUE`. One
    in which connections of a vendor differ is left out: the mock then serves them all.

    Args:
        connections: The connections.

    Raises:
        UsageError: If a vendor does not exist.
        SpecError: If its files are invalid.
    """
    accounts: dict[str, list[Mapping[str, str]]] = {}
    for item in connections:
        accounts.setdefault(vendor_source(item.vendor), []).append(item.settings)
    settings = [
        word
        for source, chosen in sorted(accounts.items())
        for name, value in sorted(chosen[0].items())
        if all(other.get(name) == value for other in chosen)
        for word in ("--setting", f"{source.partition('=')[0]}.{name}={value}")
    ]
    return [*sorted(accounts), *settings]


def named_source(vendor: str) -> str:
    """Return a bundled or installed vendor with its folder, and what names no such vendor as it is.

    Raises:
        SpecError: If the files of the vendor are invalid.
    """
    return vendor_source(vendor) if is_available(vendor) else vendor


def vendor_source(vendor: str) -> str:
    """Return a vendor with its folder, if its spec has what a mock can be made from; else its name.

    Args:
        vendor: Name of a vendor; a folder if it contains `/` or `.`.

    Raises:
        UsageError: If there is no such vendor.
        SpecError: If its files are invalid.
    """
    rules = load_vendor(vendor)
    folder = vendor_folder(vendor)
    # The mocks tell a folder from a name by a slash, which `./acme` lacks as a path.
    shown = folder.absolute() if isinstance(folder, Path) else folder
    return rules.name if rules.dialect is None else f"{rules.name}={shown}"
