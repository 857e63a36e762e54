"""Holds a typed tree against a model and turns pydantic's errors into located problems in our words.

It does not know what the values mean beyond their shape. Text of the file is repeated only where it is a key or a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from lading.spec.interpolate import TypedMap, TypedSeq, Value
from lading.spec.located_yaml import Broken
from lading.spec.models import MODELS
from lading.spec.suggest import one_of, quoted
from lading.spec.yaml_words import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from lading.spec.interpolate import Typed
    from lading.spec.problems import Problems

M = TypeVar("M", bound=BaseModel)

#: What is expected where pydantic finds another kind of value.
EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "list_type": "a list",
}


#: Fields that are a word or a mapping: what pydantic says of the word leaves the mapping out.
_FORMS = {"send": ("{since: column}",), "duplicates": ("{by: column}",)}


@dataclass(frozen=True, slots=True)
class Shaped(Generic[M]):
    """A model, and the names of its fields that hold a stand-in because what was written is wrong."""

    model: M
    bad: frozenset[str]

    def good(self, *names: str) -> bool:
        """Whether all of these fields are as written."""
        return self.bad.isdisjoint(names)


class Shaper:
    """Holds mappings of one file against models."""

    def __init__(self, problems: Problems) -> None:
        """Keep where problems go."""
        self._problems = problems

    def shaped(self, model: type[M], node: TypedMap, name: str, start: int, stand_ins: Mapping[str, Any]) -> Shaped[M]:
        """Return the model of a mapping called `name` whose key is at `start`, with stand-ins for what is wrong.

        `stand_ins` holds a valid value for each required field. Fields do not depend on each other, so one that is
        wrong never hides what is wrong in another.
        """
        data = plain(node)
        try:
            return Shaped(model.model_validate(data), frozenset())
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        bad: set[str] = set()
        for one in details:
            bad.add(str(one["loc"][0]))
            if not self._problems.full:
                self._complain(model, node, (name, start), one)
        kept = {name: value for name, value in data.items() if name not in bad}
        kept |= {name: value for name, value in stand_ins.items() if name in bad}
        return Shaped(model.model_validate(kept), frozenset(bad))

    def _complain(self, model: type[BaseModel], root: TypedMap, owner: tuple[str, int], error: ErrorDetails) -> None:
        kind = error["type"]
        node, at, path, rest = located(root, owner[1], error["loc"])
        if isinstance(node, Broken):
            return
        if kind == "extra_forbidden":
            name = path[-1]
            known = _keys(model, path[:-1])
            self._problems.add(
                "unknown_key", at, f"unknown key {quoted(name)}", one_of(known), self._problems.suggest(name, known)
            )
        elif kind == "missing":
            self._problems.add(
                "missing_key", at, f"{_owner(path) or owner[0]} has no {quoted(str(rest))}", f"{rest}: ..."
            )
        else:
            value_at = at if isinstance(node, TypedMap) or node is None else node.start
            self._problems.add("value", value_at, *self._said(error, node, path))

    def _said(self, error: ErrorDetails, node: Typed | None, path: tuple[str, ...]) -> tuple[str, str, str]:
        """Return message, expected and suggestion of a value that is wrong."""
        kind, context = error["type"], error.get("ctx", {})
        name = quoted(next((one for one in reversed(path) if not one.isdigit()), "jobs.yaml"))
        if kind == "lading":
            return f"{name}: {context['what']}", str(context["expected"]), ""
        if kind == "literal_error":
            words = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
            words += _FORMS.get(path[-1], ())
            if not isinstance(node, Value):
                return f"{name} is {kind_of(node)}", one_of(words), ""
            written = str(node.value)
            return f"{name} cannot be {quoted(written)}", one_of(words), self._problems.suggest(written, words)
        if kind in EXPECTED:
            advice = ""
            if kind == "string_type" and isinstance(node, Value):
                advice = f"quote it: {quoted(node.raw)}"
            elif isinstance(node, Value) and not node.quoted and NO_SPACE.match(node.raw):
                advice = "is there no space after the colon?"
            return f"{name} is {kind_of(node)}", EXPECTED[kind], advice
        if kind in {"greater_than_equal", "less_than_equal", "too_long", "too_short"}:
            limit = context.get("ge", context.get("le", context.get("max_length", context.get("min_length"))))
            side = "at least" if kind in {"greater_than_equal", "too_short"} else "at most"
            return f"{name} is out of bounds", f"{side} {limit}", ""
        return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}", "", ""


def plain(node: Typed) -> Any:
    """Return a tree as plain Python values. What is Broken becomes an object that nothing accepts."""
    if isinstance(node, Value):
        return node.value
    if isinstance(node, TypedMap):
        return {one.key: plain(one.value) for one in node.entries}
    if isinstance(node, TypedSeq):
        return [plain(one) for one in node.items]
    return node


def located(
    root: Typed, start: int, loc: tuple[int | str, ...]
) -> tuple[Typed | None, int, tuple[str, ...], int | str | None]:
    """Return the node of a pydantic location, the index to show, its path, and the last piece if that is not there.

    Pieces that name a form of a union are in no file and are passed over.
    """
    node: Typed = root
    at, path, rest = start, [], None
    for piece in loc:
        rest = piece
        if isinstance(node, TypedMap) and (entry := node.entry(str(piece))):
            node, at, rest = entry.value, entry.start, None
            path.append(entry.key)
        elif isinstance(node, TypedSeq) and isinstance(piece, int) and piece < len(node.items):
            node, rest = node.items[piece], None
            at = node.start
            path.append(str(piece))
    return node, at, tuple(path), rest


def kind_of(node: Typed | None) -> str:
    """Return what a node is, in words, without its value."""
    if isinstance(node, TypedMap):
        return "a mapping"
    if isinstance(node, TypedSeq):
        return "a list"
    value = node.value if isinstance(node, Value) else None
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return "a number"
    return "a text"


def _keys(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """Return the keys that are known at a path below a model."""
    found = model
    if path:
        masked = tuple("*" if one.isdigit() else one for one in path)
        found = next((one for at, one in MODELS if at == masked), model)
    return list(found.model_fields)


def _owner(path: tuple[str, ...]) -> str:
    names = [one for one in path if not one.isdigit()]
    return quoted(names[-1]) if names else ""
