"""Extensions by installed packages, which register them as entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from batchsync.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Vendors: `acme = "acme_batchsync:connect"`, a `batchsync.ports.Connect`.
VENDORS = "batchsync.vendors"
#: Fetchers of sources by URL scheme: `s3 = "acme_batchsync:fetch"`, a `batchsync.ports.SourceFetcher`.
SOURCE_FETCHERS = "batchsync.source_fetchers"
#: Readers by format: `avro = "acme_batchsync:AvroReader"`, a class derived from `batchsync.data.RowReader`.
ROW_READERS = "batchsync.row_readers"
#: Executors: `ray = "acme_batchsync:ray_executor"`, a `batchsync.ports.OpenExecutor`.
EXECUTORS = "batchsync.executors"

_KINDS = {VENDORS: "vendor", SOURCE_FETCHERS: "source fetcher", ROW_READERS: "row reader", EXECUTORS: "executor"}


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names that installed packages register in a group, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def find_plugin(group: str, name: str) -> EntryPoint | None:
    """Return the entry point of a name, which is not imported; None if no package registers it.

    Raises:
        UsageError: If several packages register the same name.
    """
    found = list(entry_points(group=group, name=name))
    if len(found) > 1:
        claims = ", ".join(item.value for item in found)
        raise UsageError(
            f"several installed packages register {_KINDS[group]} {name}: {claims}",
            hint="uninstall all but one of them",
        )
    return found[0] if found else None


def load_plugin(group: str, name: str) -> Any:
    """Return what an installed package registers under a name, imported.

    Raises:
        UnavailableError: If no package registers the name, or its import fails.
    """
    point = find_plugin(group, name)
    if point is None:
        hint = "install the package that provides it"
        raise UnavailableError(f"no installed package registers {_KINDS[group]} {name}", hint=hint)
    try:
        return point.load()
    except Exception as error:
        raise UnavailableError(
            f"{name}: cannot load the {_KINDS[group]} package {point.value}: {type(error).__name__}: {error}",
            hint="report the defect to the maintainers of that package; nothing was sent",
        ) from error
