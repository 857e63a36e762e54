"""Names that a jobs file declares, for the JSON Schema of that file, which may be unfinished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, SpecError
from batchsync.spec.file_text import read_text
from batchsync.spec.interpolate import Resolver, TypedMap, Value
from batchsync.spec.jobs_file import folder_of
from batchsync.spec.json_schema_vendors import DeclaredNames
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import Map, read_tree
from batchsync.spec.problems import Problems
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.util.path_fence import PathFence


def declared_names(path: Path, *, environ: Mapping[str, str], fence: PathFence) -> DeclaredNames:
    """Return the names that a jobs file declares, as far as it can be read.

    Args:
        path: The jobs file.
        environ: Environment variables, which the name of a vendor may refer to.
        fence: Where the folder of a vendor may be.

    Returns:
        The names. Rules of a vendor are None where its name or its spec is invalid; `validate` reports that.

    Raises:
        SpecError: If the file cannot be read, or is no mapping.
    """
    problems = Problems(LocatedText(str(path), read_text(path)))
    tree = read_tree(problems)
    if not isinstance(tree, Map):
        if not len(problems):
            problems.add("value", 0, "the file is not a mapping", "version: 1, connections: ..., jobs: ...")
        raise SpecError(problems.sorted())
    typed = Resolver(environ, problems).resolve_map(tree)
    connections, jobs = typed.get("connections"), typed.get("jobs")
    accounts: dict[str, VendorRules | None] = {}
    databases, storages = [], []
    for entry in connections.entries if isinstance(connections, TypedMap) else ():
        block = entry.value if isinstance(entry.value, TypedMap) else TypedMap((), entry.start)
        if block.entry("storage") is not None:
            storages.append(entry.key)
        elif block.entry("database") is not None:
            databases.append(entry.key)
        else:
            accounts[entry.key] = _rules(block, path, fence)
    return DeclaredNames(
        accounts=accounts,
        databases=tuple(databases),
        storages=tuple(storages),
        jobs=tuple(entry.key for entry in jobs.entries) if isinstance(jobs, TypedMap) else (),
    )


def _rules(block: TypedMap, path: Path, fence: PathFence) -> VendorRules | None:
    """Return the rules of the vendor of an account; None if they are unknown."""
    written = block.get("vendor")
    if not isinstance(written, Value) or not isinstance(written.value, str):
        return None
    name = written.value
    if "/" in name:
        folder = (folder_of(path) / name).absolute()
        files = (folder / "vendor.yaml", *(folder / "records").glob("*.yaml"))
        if fence.objection(folder) or any(map(fence.file_objection, files)):
            return None
        name = str(folder)
    try:
        return load_vendor(name)
    except BatchsyncError:
        return None
