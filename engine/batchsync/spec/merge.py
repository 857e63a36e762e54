"""Merging of blocks of jobs: defaults into jobs, and overrides of an environment into connections and jobs.

One rule for both: a key of the block on top replaces that below it. The blocks of `MERGED` are merged key by key, one
level deep; every other value, lists included, is replaced as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.spec.located_yaml import Broken, Entry, Map
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.spec.located_yaml import Node
    from batchsync.spec.problems import Problems

#: Blocks of a job that are merged key by key.
MERGED = frozenset({"source", "target", "record", "guards", "budget", "results"})
#: Keys of a job that cannot be a default: each belongs to one job.
_NO_DEFAULTS = ("renamed_from",)
#: Keys of an environment: blocks that are merged by name, and top-level keys that are replaced.
_OVERRIDES = ("connections", "jobs")
_REPLACED = ("state", "retention", "alerts", "threads", "memory", "executor")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Defaults of jobs; `block` is None where there are none."""

    block: Map | None

    def applied(self, job: Entry) -> Entry:
        """Return a job with the defaults of what it does not have."""
        if self.block is None or not isinstance(job.value, Map):
            return job
        return Entry(job.key, job.start, merged(self.block, job.value, MERGED))


def merged(below: Map, above: Map, blocks: Collection[str]) -> Map:
    """Return a mapping with the entries of two; keys of `below` come first, in their order.

    Args:
        below: Entries that hold where `above` has none.
        above: Entries that replace those below.
        blocks: Keys whose mappings are merged, one level deep.
    """
    top = {entry.key: entry for entry in above.entries}
    entries: list[Entry] = []
    for entry in below.entries:
        over = top.pop(entry.key, None)
        if over is None:
            entries.append(entry)
        elif entry.key in blocks and isinstance(entry.value, Map) and isinstance(over.value, Map):
            entries.append(Entry(over.key, over.start, merged(entry.value, over.value, ())))
        else:
            entries.append(over)
    return Map((*entries, *top.values()), above.start)


def with_defaults(tree: Map, outer: Map | None, problems: Problems) -> Defaults:
    """Return the defaults that hold in a file: its own, on top of those of the file that includes it.

    Args:
        tree: The file.
        outer: Defaults of the including file.
        problems: Receives the problems.
    """
    written = next((entry for entry in tree.entries if entry.key == "defaults"), None)
    if written is None or isinstance(written.value, Broken):
        return Defaults(outer)
    if not isinstance(written.value, Map):
        problems.add("value", written.start, '"defaults" is not a mapping', "keys of jobs, such as guards: ...")
        return Defaults(outer)
    refused = [entry for entry in written.value.entries if entry.key in _NO_DEFAULTS]
    for entry in refused:
        problems.add("defaults", entry.start, f"{quoted(entry.key)} in defaults", "a key that several jobs may share")
    kept = tuple(entry for entry in written.value.entries if entry not in refused)
    own = Map(kept, written.value.start)
    return Defaults(own if outer is None else merged(outer, own, MERGED))


def environments_of(tree: Map) -> tuple[str, ...]:
    """Return the names of the declared environments."""
    entry = next((entry for entry in tree.entries if entry.key == "environments"), None)
    return tuple(item.key for item in entry.value.entries) if entry and isinstance(entry.value, Map) else ()


def with_environment(tree: Map, name: str | None, problems: Problems) -> Map:
    """Return a jobs file without `environments:`, in which the overrides of one are merged.

    Args:
        tree: The file.
        name: A declared environment; None if none is chosen.
        problems: Receives the problems.
    """
    written = next((entry for entry in tree.entries if entry.key == "environments"), None)
    rest = Map(tuple(entry for entry in tree.entries if entry is not written), tree.start)
    if written is None or isinstance(written.value, Broken):
        return rest
    if not isinstance(written.value, Map):
        problems.add("value", written.start, '"environments" is not a mapping', "a name, a colon, overrides")
        return rest
    chosen = None
    for entry in written.value.entries:
        if entry.key == name:
            chosen = entry
        _check_environment(entry, problems)
    return rest if chosen is None or not isinstance(chosen.value, Map) else _overridden(rest, chosen.value, problems)


def _check_environment(entry: Entry, problems: Problems) -> None:
    """Report an environment that is no mapping, or has unknown keys; also of those that are not chosen."""
    if not isinstance(entry.value, Map):
        if not isinstance(entry.value, Broken):
            problems.add("value", entry.start, f"{quoted(entry.key)} is not a mapping", "overrides, or {} for none")
        return
    known = (*_OVERRIDES, *_REPLACED)
    for item in entry.value.entries:
        if item.key not in known:
            advice = problems.suggest(item.key, known)
            problems.add("unknown_key", item.start, f"unknown key {quoted(item.key)}", one_of(known), advice)


def _overridden(tree: Map, environment: Map, problems: Problems) -> Map:
    """Return a file with the overrides of an environment."""
    over = {entry.key: entry for entry in environment.entries}
    entries = [
        Entry(entry.key, entry.start, _named_overrides(entry.value, over[entry.key].value, entry.key, problems))
        if entry.key in _OVERRIDES and entry.key in over
        else entry
        for entry in tree.entries
        if entry.key not in _REPLACED or entry.key not in over
    ]
    return Map((*entries, *(over[key] for key in _REPLACED if key in over)), tree.start)


def _named_overrides(block: Node, overrides: Node, key: str, problems: Problems) -> Node:
    """Return connections or jobs with overrides by name."""
    if isinstance(overrides, Broken) or not isinstance(block, Map):
        return block
    if not isinstance(overrides, Map):
        problems.add("value", overrides.start, f"{quoted(key)} is not a mapping", "a name, a colon, overrides")
        return block
    kind, code = key.removesuffix("s"), "unknown_job" if key == "jobs" else "unknown_connection"
    known = {entry.key: entry for entry in block.entries}
    for entry in overrides.entries:
        found = known.get(entry.key)
        if found is None:
            advice = problems.suggest(entry.key, known)
            problems.add(code, entry.start, f"unknown {kind} {quoted(entry.key)}", one_of(known), advice)
        elif not isinstance(entry.value, Map):
            if not isinstance(entry.value, Broken):
                problems.add("value", entry.start, f"{quoted(entry.key)} is not a mapping", "keys to override")
        elif isinstance(found.value, Map):
            known[entry.key] = Entry(found.key, found.start, merged(found.value, entry.value, MERGED))
    return Map(tuple(known.values()), block.start)
