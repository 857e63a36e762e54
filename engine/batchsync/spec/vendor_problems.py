"""Problems of the data files of a vendor's folder, with places.

A file is parsed with places only if it has a problem.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from batchsync.errors import Problem
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import Map, Scalar, Seq, read_tree
from batchsync.spec.model_validator import EXPECTED
from batchsync.spec.problems import Problems
from batchsync.spec.secret_policy import VENDOR_FILE
from batchsync.util.suggestions import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

    from pydantic_core import ErrorDetails

    from batchsync.spec.located_yaml import Node

#: Patterns of the data files, and their descriptions.
DURATION = r"^[0-9]{1,6}[smhd]$"
POINTER = r"^(/[^/]*)*$"
CALL_URL = r"^(/[!-~]*|\{(allocation\.url|found\.[a-z_]+)\})$"
BASE_URL = r"^https://[a-z0-9.-]+$"
SAVE_AS = r"^[a-z]+(\.[a-z]+)+$"
PARAMETER = r"^[A-Za-z0-9_.$%\[\]-]*$"
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SETTING = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
_FORMS = {
    DURATION: "a number with s, m, h or d, such as 5s, 15m, 48h or 31d",
    POINTER: "a JSON pointer, such as /data/url",
    CALL_URL: "a path such as /v2/batches, or {allocation.url} or {found.NAME}",
    BASE_URL: "https:// and a host name without a path",
    SAVE_AS: "a lower-case file name, such as results.csv",
    PARAMETER: "the name of a query parameter, encoded where needed",
    NAME: "lower-case letters and digits, with - between words",
    SETTING: "lower-case letters and digits, with _ between words",
}
#: Problems of jobs.yaml that are allowed in files of a vendor.
_ALLOWED = frozenset({"spec.anchor", "spec.alias", "spec.merge"})

Path = tuple[int | str, ...]


def problem(file: Traversable, at: str | Path, message: str, expected: str = "", suggestion: str = "") -> Problem:
    """Return a problem at the value of a key, or at the nearest existing place.

    Args:
        file: The data file.
        at: Path of the key, such as `allocate.method`; empty for the file.
        message: What is wrong.
        expected: What would be right.
        suggestion: What to do.
    """
    path = tuple(at.split(".")) if isinstance(at, str) else at
    name = ".".join(str(item) for item in path)
    return _placed(file, path, f"{name}: {message}" if name else message, expected, suggestion)


def place_of(file: Traversable, at: Path) -> tuple[int, int]:
    """Return line and column of the value at a path of a data file, or of the nearest existing place; from 1.

    Args:
        file: The data file.
        at: Path of the value.
    """
    found = _placed(file, at, "", "", "")
    return found.line, found.column


def pydantic_problem(file: Traversable, model: type[BaseModel], error: ErrorDetails, below: Path = ()) -> Problem:
    """Return an error of pydantic as a problem, with messages for users instead of programmers.

    Args:
        file: The data file.
        model: Type of the model.
        error: The error.
        below: Path of the mapping in the file that has the form of the model.
    """
    path: Path = tuple(item for item in error["loc"] if item != "[key]")
    message, expected, suggestion = _message(file, model, path, error)
    path = (*below, *path)
    name = ".".join(str(item) for item in path)
    return _placed(
        file,
        path,
        f"{name}: {message}" if name else message,
        expected,
        suggestion,
        key=error["type"] == "extra_forbidden",
    )


def syntax_problems(file: Traversable, text: str) -> tuple[Problem, ...]:
    """Return the problems of an unparseable YAML text; empty if none can be located."""
    problems = Problems(LocatedText(str(file), text))
    problems.source.has_no_connections = True
    read_tree(problems, VENDOR_FILE)
    return tuple(item for item in problems.sorted() if item.code not in _ALLOWED)


def _message(file: Traversable, model: type[BaseModel], path: Path, error: ErrorDetails) -> tuple[str, str, str]:
    """Return message, expected value and suggestion."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        return "unknown key", one_of(known), did_you_mean(str(path[-1]), known)
    if kind == "missing":
        return "is missing", f"{path[-1]}: ...", ""
    if kind in {"literal_error", "enum"}:
        choices = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        written = _written(file, path)
        return "unknown value", one_of(choices), did_you_mean(written, choices) if written else ""
    return _message_about_value(kind, context, path) or (f"{error['msg'][:1].lower()}{error['msg'][1:]}", "", "")


def _message_about_value(kind: str, context: Mapping[str, Any], path: Path) -> tuple[str, str, str] | None:
    """Return message, expected value and suggestion for a value of the wrong format, type or size; else None."""
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return "invalid format", _FORMS.get(pattern, f"a string that matches {pattern}"), ""
    if kind == "value_error":
        return "invalid value", str(context["error"]), ""
    if kind in EXPECTED:
        return "wrong type" if path else "the file is not a mapping", EXPECTED[kind], ""
    bounds = {"ge": "at least", "le": "at most", "min_length": "at least", "max_length": "at most"}
    limit = next((f"{side} {context[item]}" for item, side in bounds.items() if item in context), "")
    return ("is out of bounds", limit, "") if limit else None


def _placed(
    file: Traversable, path: Path, message: str, expected: str, suggestion: str, *, key: bool = False
) -> Problem:
    found = _located(file)
    line = column = 0
    source_line = ""
    if found is not None:
        source, root = found
        place = source.place(_index(root, path, key=key))
        line, column, source_line = place.line, place.column, source.line(place.line)
    return Problem(
        code="vendor_spec.invalid",
        message=message,
        file=str(file),
        line=line,
        column=column,
        source_line=source_line,
        expected=expected,
        suggestion=suggestion,
    )


def _located(file: Traversable) -> tuple[LocatedText, Node] | None:
    """Return the text and tree of a file; None if it cannot be parsed."""
    try:
        return _tree(str(file), file.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=4)
def _tree(name: str, text: str) -> tuple[LocatedText, Node] | None:
    problems = Problems(LocatedText(name, text))
    root = read_tree(problems, VENDOR_FILE)
    return (problems.source, root) if root is not None else None


def _index(root: Node, path: Path, *, key: bool) -> int:
    """Return the index of the value at a path (of its key for a mapping or list), or of the nearest existing node."""
    node, at, rest = root, root.start, [str(item) for item in path]
    while rest:
        step = _step(node, rest)
        if step is None:
            return at
        node, at, rest = step
    return node.start if isinstance(node, Scalar) and node.text and not key else at


def _step(node: Node, rest: list[str]) -> tuple[Node, int, list[str]] | None:
    """Return the next node of a path, the index of its key or item, and the rest of the path."""
    if isinstance(node, Seq) and rest[0].isdigit() and int(rest[0]) < len(node.items):
        item = node.items[int(rest[0])]
        return item, item.start, rest[1:]
    entries = {element.key: element for element in node.entries} if isinstance(node, Map) else {}
    # A key may contain dots.
    for length in range(len(rest), 0, -1):
        if (entry := entries.get(".".join(rest[:length]))) is not None:
            return entry.value, entry.start, rest[length:]
    return None


def _written(file: Traversable, path: Path) -> str:
    """Return the text of the scalar at a path; empty if there is none."""
    found = _located(file)
    node, rest = (found[1] if found else None), [str(item) for item in path]
    while node is not None and rest:
        step = _step(node, rest)
        node, rest = (step[0], step[2]) if step else (None, [])
    return node.text if isinstance(node, Scalar) else ""


def _keys(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the valid keys at a path below a model."""
    here: Any = model
    for item in path:
        if _is_model(here):
            here = _unwrap(_fields(here).get(str(item)))
        else:
            inner = get_args(here)
            here = _unwrap(inner[-1]) if inner else None
    return list(_fields(here)) if _is_model(here) else []


def _unwrap(annotation: Any) -> Any:
    """Return a type without `Annotated` and without None, as of `Model | None`."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return _unwrap(next(item for item in get_args(annotation) if item is not type(None)))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
