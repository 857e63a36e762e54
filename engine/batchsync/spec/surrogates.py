r"""Refuses half characters: `"\ud800"` is an escape that YAML reads, and nothing can write what it stands for.

It does not know what a text is for. Wherever such a text went, it would fail there, or be sent as something else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lading.spec.located_yaml import Broken, Entry, Map, Node, Scalar, Seq

if TYPE_CHECKING:
    from lading.spec.problems import Problems

_HALF = re.compile("[\ud800-\udfff]")


def has_half(text: str) -> bool:
    """Whether half of a character stands in a text."""
    return _HALF.search(text) is not None


def without_halves(node: Node, problems: Problems) -> Node:
    """Return the tree with values that hold half a character broken and such keys left out, each complained about."""
    if isinstance(node, Scalar) and _refused(node.text, node.start, problems):
        return Broken(node.start)
    if isinstance(node, Seq):
        return Seq(tuple(without_halves(one, problems) for one in node.items), node.start)
    if isinstance(node, Map):
        kept = (one for one in node.entries if not _refused(one.key, one.start, problems))
        return Map(tuple(Entry(one.key, one.start, without_halves(one.value, problems)) for one in kept), node.start)
    return node


def _refused(text: str, start: int, problems: Problems) -> bool:
    """Complain about half a character, if there is one."""
    found = _HALF.search(text)
    if found is not None:
        problems.add("control", start, f"half a character (U+{ord(found[0]):04X})", "the whole character, as itself")
    return found is not None
