"""Mock of any vendor that is described by a folder with a `vendor.yaml`, its record schemas and its exchanges.

It reads these files with a reader of its own, and is held against the exchanges of the bundled vendors.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync_mocks.vendor import Vendor


def vendor_class(folder: str | Path, chosen: Mapping[str, str] | None = None) -> type[Vendor]:
    """Return the mock of the vendor of a folder.

    Args:
        folder: The folder.
        chosen: Values of settings of the account that it plays; the others are open.

    Raises:
        ValueError: If the folder contains no `vendor.yaml`, or one that is incomplete.
    """
    # Imported on use: only vendors of folders need YAML, whose import takes longer than the rest of the start.
    access, api, spec = (import_module(f"batchsync_mocks.generic.{name}") for name in ("access", "api", "spec"))
    vendor = spec.read_spec(Path(folder), chosen)
    members = {"name": vendor.name, "credentials": access.credentials_of(vendor)}
    members |= {"spec": vendor, "__doc__": f"Mock of the vendor `{vendor.name}`."}
    return type("FolderVendor", (api.GenericVendor,), members)
