r"""Refuse unpaired surrogates: YAML reads the escape `"\ud800"`, but the character cannot be encoded as UTF-8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.spec.located_yaml import Broken, Entry, Map, Node, Scalar, Seq

if TYPE_CHECKING:
    from batchsync.spec.problems import Problems

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\[uU]")


def has_lone_surrogate(text: str) -> bool:
    """Return whether a text contains an unpaired surrogate."""
    return _SURROGATE.search(text) is not None


def refuse_lone_surrogates(node: Node, problems: Problems) -> Node:
    """Return the tree with values that contain unpaired surrogates as Broken and without such keys; report them."""
    # The text of the file itself is valid: only an escape can be a surrogate.
    return _without_surrogates(node, problems) if _ESCAPE.search(problems.source.text) else node


def _without_surrogates(node: Node, problems: Problems) -> Node:
    if isinstance(node, Scalar) and _refused(node.text, node.start, problems):
        return Broken(node.start)
    if isinstance(node, Seq):
        return Seq(tuple(_without_surrogates(item, problems) for item in node.items), node.start)
    if isinstance(node, Map):
        kept = (entry for entry in node.entries if not _refused(entry.key, entry.start, problems))
        return Map(
            tuple(Entry(item.key, item.start, _without_surrogates(item.value, problems)) for item in kept),
            node.start,
        )
    return node


def _refused(text: str, start: int, problems: Problems) -> bool:
    """Report an unpaired surrogate; return whether there is one."""
    found = _SURROGATE.search(text)
    if found is not None:
        problems.add("control", start, f"unpaired surrogate (U+{ord(found[0]):04X})", "the complete character")
    return found is not None
