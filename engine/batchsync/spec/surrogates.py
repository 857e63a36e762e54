r"""Refuses half characters: `"\ud800"` is an escape that YAML reads, and nothing can write what it stands for.

It does not know what a text is for. Wherever such a text went, it would fail there, or be sent as something else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.spec.located_yaml import Broken, Entry, Map, Node, Scalar, Seq

if TYPE_CHECKING:
    from batchsync.spec.problems import Problems

_HALF = re.compile("[\ud800-\udfff]")


def has_lone_surrogate(text: str) -> bool:
    """Whether half of a character stands in a text."""
    return _HALF.search(text) is not None


def refuse_lone_surrogates(node: Node, problems: Problems) -> Node:
    """Return the tree with values that hold half a character broken and such keys left out, each complained about."""
    if isinstance(node, Scalar) and _refused(node.text, node.start, problems):
        return Broken(node.start)
    if isinstance(node, Seq):
        return Seq(tuple(refuse_lone_surrogates(item, problems) for item in node.items), node.start)
    if isinstance(node, Map):
        kept = (entry for entry in node.entries if not _refused(entry.key, entry.start, problems))
        return Map(
            tuple(Entry(item.key, item.start, refuse_lone_surrogates(item.value, problems)) for item in kept),
            node.start,
        )
    return node


def _refused(text: str, start: int, problems: Problems) -> bool:
    """Complain about half a character, if there is one."""
    found = _HALF.search(text)
    if found is not None:
        problems.add("control", start, f"half a character (U+{ord(found[0]):04X})", "the whole character, as itself")
    return found is not None
