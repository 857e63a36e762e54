"""Validation of a typed tree against a pydantic model, with pydantic's errors converted to problems with places.

Messages quote text of the file only if it is a key or an enumerated value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.models import MODELS
from batchsync.spec.yaml_errors import NO_SPACE
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from batchsync.spec.interpolate import Typed
    from batchsync.spec.problems import Problems

M = TypeVar("M", bound=BaseModel)

#: Expected value by pydantic error type.
EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "bool_type": "true or false",
    "float_type": "a number",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "list_type": "a list",
}


#: Alternatives of fields that take an enumerated value or a mapping; pydantic lists the enumerated values only.
_FORMS = {"send": ("{since: column}",), "duplicates": ("{by: column}",)}


@dataclass(frozen=True, slots=True)
class ValidationResult(Generic[M]):
    """A model, and the names of its fields that have a placeholder because the written value is invalid."""

    model: M
    invalid: frozenset[str]

    def valid(self, *names: str) -> bool:
        """Return whether all of these fields are valid."""
        return self.invalid.isdisjoint(names)


class ModelValidator:
    """Validates mappings of one file against models."""

    def __init__(self, problems: Problems) -> None:
        """Keep the receiver of problems."""
        self._problems = problems

    def validate(
        self, model: type[M], node: TypedMap, name: str, start: int, placeholders: Mapping[str, Any]
    ) -> ValidationResult[M]:
        """Validate a mapping and report its problems.

        Models have no rules across fields, so that an invalid field never hides problems of another field.

        Args:
            model: The model.
            node: The mapping.
            name: Name of the mapping for messages.
            start: Index of its key in the text.
            placeholders: A valid value for each required field, used where the written value is invalid.

        Returns:
            The model with placeholders for invalid fields, and the names of these fields.
        """
        data = to_python(node)
        try:
            return ValidationResult(model.model_validate(data), frozenset())
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        invalid: set[str] = set()
        for detail in details:
            invalid.add(str(detail["loc"][0]))
            if not self._problems.full:
                self._report(model, node, (name, start), detail)
        kept = {name: value for name, value in data.items() if name not in invalid}
        kept |= {name: value for name, value in placeholders.items() if name in invalid}
        return ValidationResult(model.model_validate(kept), frozenset(invalid))

    def _report(self, model: type[BaseModel], root: TypedMap, owner: tuple[str, int], error: ErrorDetails) -> None:
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
            self._problems.add("value", value_at, *self._message(error, node, path))

    def _message(self, error: ErrorDetails, node: Typed | None, path: tuple[str, ...]) -> tuple[str, str, str]:
        """Return message, expected value and suggestion for an invalid value."""
        kind, context = error["type"], error.get("ctx", {})
        name = quoted(next((item for item in reversed(path) if not item.isdigit()), "jobs.yaml"))
        if kind == "batchsync":
            return f"{name}: {context['message']}", str(context["expected"]), ""
        if kind == "literal_error":
            choices = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
            choices += _FORMS.get(path[-1], ())
            if not isinstance(node, Value):
                return f"{name} is {kind_of(node)}", one_of(choices), ""
            written = str(node.value)
            return f"{name} cannot be {quoted(written)}", one_of(choices), self._problems.suggest(written, choices)
        if kind in EXPECTED:
            advice = ""
            if kind == "string_type" and isinstance(node, Value):
                advice = f"quote it: {quoted(node.raw)}"
            elif isinstance(node, Value) and not node.quoted and NO_SPACE.match(node.raw):
                advice = "is the space after the colon missing?"
            return f"{name} is {kind_of(node)}", EXPECTED[kind], advice
        if kind in {"greater_than_equal", "less_than_equal", "too_long", "too_short"}:
            limit = context.get("ge", context.get("le", context.get("max_length", context.get("min_length"))))
            side = "at least" if kind in {"greater_than_equal", "too_short"} else "at most"
            return f"{name} is out of bounds", f"{side} {limit}", ""
        return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}", "", ""


def to_python(node: Typed) -> Any:
    """Return a tree as Python values. Broken nodes are kept, which no model accepts."""
    if isinstance(node, Value):
        return node.value
    if isinstance(node, TypedMap):
        return {entry.key: to_python(entry.value) for entry in node.entries}
    if isinstance(node, TypedSeq):
        return [to_python(item) for item in node.items]
    return node


def located(
    root: Typed, start: int, loc: tuple[int | str, ...]
) -> tuple[Typed | None, int, tuple[str, ...], int | str | None]:
    """Resolve a pydantic location.

    Segments that name an alternative of a union do not exist in the file and are skipped.

    Args:
        root: The validated mapping.
        start: Index of its key in the text.
        loc: Location of a pydantic error.

    Returns:
        The node; the index to show; its path; and the last segment if it does not exist in the file, else None.
    """
    node: Typed = root
    at, path, rest = start, [], None
    for segment in loc:
        rest = segment
        if isinstance(node, TypedMap) and (entry := node.entry(str(segment))):
            node, at, rest = entry.value, entry.start, None
            path.append(entry.key)
        elif isinstance(node, TypedSeq) and isinstance(segment, int) and segment < len(node.items):
            node, rest = node.items[segment], None
            at = node.start
            path.append(str(segment))
    return node, at, tuple(path), rest


def kind_of(node: Typed | None) -> str:
    """Return a description of the kind of a node, without its value."""
    if isinstance(node, TypedMap):
        return "a mapping"
    if isinstance(node, TypedSeq):
        return "a list"
    value = node.value if isinstance(node, Value) else None
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return "a number"
    return "a string"


def _keys(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """Return the valid keys at a path below a model."""
    found = model
    if path:
        matching = (
            item
            for at, item in MODELS
            if len(at) == len(path) and all(a in ("*", b) for a, b in zip(at, path, strict=True))
        )
        found = next(matching, model)
    return list(found.model_fields)


def _owner(path: tuple[str, ...]) -> str:
    names = [item for item in path if not item.isdigit()]
    return quoted(names[-1]) if names else ""
