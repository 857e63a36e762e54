"""Definition of the parts of a JSON Schema that occur several times, so that each is written once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

#: Length of the text of the shortest part that is worth a definition.
_TEXT_MIN = 100


def share_parts(definitions: dict[str, Any], names: list[str], prefix: str) -> None:
    """Replace parts of definitions that occur several times by references to definitions of their own.

    Args:
        definitions: All definitions by name; changed in place.
        names: Definitions whose parts are shared. They keep their names.
        prefix: Beginning of the names of the new definitions, which end in a number.
    """
    counts: Counter[str] = Counter()
    for name in names:
        _count(definitions[name], counts, whole=True)
    shared: dict[str, str] = {}
    added: dict[str, Any] = {}

    def replaced(node: Any, *, whole: bool = False) -> Any:
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if not isinstance(node, dict):
            return node
        text = _text(node)
        if whole or not _is_shared(node, text, counts):
            return {key: _in_schema(key, value, replaced) for key, value in node.items()}
        if text not in shared:
            shared[text] = f"{prefix}{len(shared) + 1}"
            added[shared[text]] = {}
            added[shared[text]] = {key: _in_schema(key, value, replaced) for key, value in node.items()}
        return {"$ref": f"#/$defs/{shared[text]}"}

    for name in names:
        definitions[name] = replaced(definitions[name], whole=True)
    definitions |= added


def _in_schema(key: str, value: Any, replaced: Any) -> Any:
    """Return the value of a keyword with its parts replaced; the members of `properties` are schemas, it is none."""
    if key in {"properties", "patternProperties"}:
        return {name: replaced(item) for name, item in value.items()}
    return value if key in {"enum", "const", "examples"} else replaced(value)


def _count(node: Any, counts: Counter[str], *, whole: bool = False) -> None:
    """Count the schemas below a node; those in a schema that was met before are not counted again."""
    if isinstance(node, list):
        for item in node:
            _count(item, counts)
    elif isinstance(node, dict):
        text = _text(node)
        counts[text] += not whole
        if counts[text] <= 1:
            for key, value in node.items():
                if key in {"properties", "patternProperties"}:
                    for item in value.values():
                        _count(item, counts)
                elif key not in {"enum", "const", "examples"}:
                    _count(value, counts)


def _is_shared(node: dict[str, Any], text: str, counts: Counter[str]) -> bool:
    return counts[text] > 1 and len(text) >= _TEXT_MIN and "$ref" not in node


def _text(node: dict[str, Any]) -> str:
    return json.dumps(node)
