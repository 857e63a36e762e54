"""Says what is wrong in a data file of a vendor's folder: the file, the line with a caret, and what would be right.

It does not know what the files mean. A file is read as a tree with places only when there is something to say of it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from lading.errors import Problem
from lading.spec.located_text import LocatedText
from lading.spec.located_yaml import Map, Scalar, Seq, read_tree
from lading.spec.problems import Problems
from lading.spec.secrecy import VENDOR_FILE
from lading.spec.shape import EXPECTED
from lading.spec.suggest import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

    from pydantic_core import ErrorDetails

    from lading.spec.located_yaml import Node

#: Patterns of the data files, and what they demand in words.
DURATION = r"^[0-9]{1,6}[smhd]$"
POINTER = r"^(/[^/]*)*$"
CALL_URL = r"^(/[!-~]*|\{(slot|found)\.url\})$"
BASE_URL = r"^https://[a-z0-9.-]+$"
SAVE_AS = r"^[a-z]+(\.[a-z]+)+$"
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_FORMS = {
    DURATION: "a number with s, m, h or d, as in 5s, 15m, 48h or 31d",
    POINTER: "a JSON pointer, as in /data/url",
    CALL_URL: "a path as in /v2/batches, or {slot.url} or {found.url}",
    BASE_URL: "https:// and a host name, nothing behind it",
    SAVE_AS: "a file name in small letters, as in results.csv",
    NAME: "small letters and digits, with - between words",
}
#: What the strict reading for jobs.yaml refuses and a vendor's file may hold.
_ALLOWED = frozenset({"spec.anchor", "spec.alias", "spec.merge"})

Path = tuple[int | str, ...]


def problem(file: Traversable, at: str | Path, message: str, expected: str = "", suggestion: str = "") -> Problem:
    """Return a problem at the path of a key, such as `allocate.method`: at its value, or at what is nearest to it."""
    path = tuple(at.split(".")) if isinstance(at, str) else at
    name = ".".join(str(one) for one in path)
    return _placed(file, path, f"{name}: {message}" if name else message, expected, suggestion)


def from_pydantic(file: Traversable, model: type[BaseModel], error: ErrorDetails) -> Problem:
    """Return what pydantic found wrong, in our words where its own are for programmers."""
    path: Path = tuple(one for one in error["loc"] if one != "[key]")
    name = ".".join(str(one) for one in path)
    message, expected, suggestion = _said(file, model, path, error)
    return _placed(
        file,
        path,
        f"{name}: {message}" if name else message,
        expected,
        suggestion,
        key=error["type"] == "extra_forbidden",
    )


def syntax_problems(file: Traversable, text: str) -> tuple[Problem, ...]:
    """Return why a text is no YAML that can be used, each with its place; nothing when that cannot be told."""
    problems = Problems(LocatedText(str(file), text))
    problems.source.loose = True
    read_tree(problems, VENDOR_FILE)
    return tuple(one for one in problems.sorted() if one.code not in _ALLOWED)


def _said(file: Traversable, model: type[BaseModel], path: Path, error: ErrorDetails) -> tuple[str, str, str]:
    """Return message, expected and suggestion."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        return "no such key", one_of(known), did_you_mean(str(path[-1]), known)
    if kind == "missing":
        return "is missing", f"{path[-1]}: ...", ""
    if kind in {"literal_error", "enum"}:
        words = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        written = _written(file, path)
        return "this word is not known here", one_of(words), did_you_mean(written, words) if written else ""
    return _said_of_value(kind, context, path) or (f"{error['msg'][:1].lower()}{error['msg'][1:]}", "", "")


def _said_of_value(kind: str, context: Mapping[str, Any], path: Path) -> tuple[str, str, str] | None:
    """Return message, expected and suggestion for a value that could not stand at any key of its kind."""
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return "this text has another form", _FORMS.get(pattern, f"a text that matches {pattern}"), ""
    if kind == "value_error":
        return "this cannot stand here", str(context["error"]), ""
    if kind in EXPECTED:
        return "this is another kind of value" if path else "the file is no mapping", EXPECTED[kind], ""
    bounds = {"ge": "at least", "le": "at most", "min_length": "at least", "max_length": "at most"}
    limit = next((f"{said} {context[one]}" for one, said in bounds.items() if one in context), "")
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
    """Return a file as text and tree, or None when it is neither."""
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
    """Return where the value at a path stands (a mapping or a list: its key), or what is nearest to it."""
    node, at, rest = root, root.start, [str(one) for one in path]
    while rest:
        step = _step(node, rest)
        if step is None:
            return at
        node, at, rest = step
    return node.start if isinstance(node, Scalar) and node.text and not key else at


def _step(node: Node, rest: list[str]) -> tuple[Node, int, list[str]] | None:
    """Return the node one step down a path, where its key or item stands, and the rest of the path."""
    if isinstance(node, Seq) and rest[0].isdigit() and int(rest[0]) < len(node.items):
        item = node.items[int(rest[0])]
        return item, item.start, rest[1:]
    entries = {one.key: one for one in node.entries} if isinstance(node, Map) else {}
    # A key may have points in it.
    for length in range(len(rest), 0, -1):
        if (entry := entries.get(".".join(rest[:length]))) is not None:
            return entry.value, entry.start, rest[length:]
    return None


def _written(file: Traversable, path: Path) -> str:
    """Return the text that stands at a path."""
    found = _located(file)
    node, rest = (found[1] if found else None), [str(one) for one in path]
    while node is not None and rest:
        step = _step(node, rest)
        node, rest = (step[0], step[2]) if step else (None, [])
    return node.text if isinstance(node, Scalar) else ""


def _keys(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the keys that are known at a path below a model."""
    here: Any = model
    for one in path:
        if _is_model(here):
            here = _bare(_fields(here).get(str(one)))
        else:
            inner = get_args(here)
            here = _bare(inner[-1]) if inner else None
    return list(_fields(here)) if _is_model(here) else []


def _bare(annotation: Any) -> Any:
    """Return a model, a list or a mapping without what stands around it, as in `Model | None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
