"""Choice between the two parsers of ruamel.yaml: that of libyaml, many times faster, and that in Python."""

from __future__ import annotations

import re

from ruamel.yaml import YAML

#: Characters that YAML 1.1, which libyaml reads, and YAML 1.2 understand alike: no tabs, no control characters, and
#: none that only one of them takes for a line end or a byte order mark.
_SAME_IN_BOTH = re.compile("[\n\x20-\x7e\xa1-\u1fff\u2010-\u2027\u2030-\u2fff\u3001-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")
#: What the parsers read differently: tags, anchors, aliases, marks of documents, and comments in block scalars.
_DIFFERENT = re.compile(r"!|[&*][A-Za-z0-9_-]|^ *(?:---|\.\.\.)|[|>][-+0-9]*(?:#|[ \n]+#)", re.MULTILINE)
_BRACKET = re.compile(r"[\[\]{}]")
#: Brackets within each other beyond which libyaml takes a time that grows with the square of their number.
_DEPTH_MAX = 200


def may_be_read_by_libyaml(text: str) -> bool:
    """Return whether libyaml reads the text as YAML 1.2 does, unless it refuses it, and in linear time."""
    return _SAME_IN_BOTH.fullmatch(text) is not None and _DIFFERENT.search(text) is None and not _is_deep(text)


def _is_deep(text: str) -> bool:
    """Return whether brackets are nested deeply, counting those in strings, too."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth = depth + 1 if found[0] in "[{" else max(0, depth - 1)
        if depth > _DEPTH_MAX:
            return True
    return False


def yaml_parser(*, libyaml: bool) -> YAML:
    """Return a parser of plain values.

    Args:
        libyaml: Whether to use libyaml, if its package is installed. Its errors say less.
    """
    return YAML(typ="safe", pure=not libyaml)
