"""Loads a vendor's folder (`vendor.yaml` and its record schemas) as `lading.core.vendor_rules.VendorRules`.

It does not know how a request is sent; it makes sure that every placeholder, mode and word in it can mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.core.batch import Verdict
from lading.core.vendor_rules import PLACEHOLDER, AuthKind, Door, VendorRules
from lading.errors import SpecError, UsageError
from lading.spec.record_spec import load_record_schema, problem, read_model
from lading.spec.vendor_compile import GOING_ON, compiled
from lading.spec.vendor_model import VendorModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from lading.core.record_schema import RecordSchema

#: Placeholders that every vendor spec knows. Those of `target`, `params` and `credentials` are declared in the spec.
_CLOSED = frozenset(
    {"ticket", "token", "slot.id", "slot.url", "found.url"}
    | {f"file.{one}" for one in ("md5", "md5_base64", "size", "name")}
)


def available_vendors() -> tuple[str, ...]:
    """Return the names of the vendor specs in the box."""
    box = files("lading_specs")
    return tuple(sorted(one.name for one in box.iterdir() if one.is_dir() and (one / "vendor.yaml").is_file()))


def load_vendor(name: str) -> VendorRules:
    """Return the rules of a vendor in the box, or of a folder with a `vendor.yaml` (a name with a `/` or `.` in it).

    A vendor in the box is read once in a process, and its record schemas when they are asked for.

    Raises:
        UsageError: when there is no such vendor.
        SpecError: with every problem of its files.
    """
    if "/" in name or "." in name:
        folder = Path(name)
        if not (folder / "vendor.yaml").is_file():
            raise UsageError(f"there is no vendor.yaml in {name}", hint="give a folder that holds a vendor.yaml")
        rules = _load(folder)
        # Somebody's own spec is read whole at once, so that every problem in it is seen now.
        for schema in rules.schemas:
            _ = rules.schemas[schema]
        return rules
    return _from_box(name)


def vendor_schema() -> dict[str, Any]:
    """Return the JSON Schema of `vendor.yaml`, for editors."""
    schema = VendorModel.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vendor.yaml of lading"}


@cache
def _from_box(name: str) -> VendorRules:
    if name not in available_vendors():
        raise UsageError(f"there is no vendor {name}", hint=f"vendors in the box: {', '.join(available_vendors())}")
    return _load(files("lading_specs") / name)


def _load(folder: Traversable) -> VendorRules:
    file = folder / "vendor.yaml"
    model = read_model(file, VendorModel)
    if wrong := tuple(problem(file, at, message) for at, message in _senseless(model)):
        raise SpecError(wrong)
    schemas = _Schemas(folder / "records", frozenset(model.modes.send))
    if model.target.default_schema and model.target.default_schema not in schemas:
        raise SpecError((problem(file, "target.default_schema", "there is no such file in records/"),))
    return compiled(model, schemas)


class _Schemas(Mapping[str, "RecordSchema"]):
    """The record schemas of a folder by name, each read when first asked for: a job needs one of them."""

    def __init__(self, folder: Traversable, modes: frozenset[str]) -> None:
        names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
        self._files = {name[: -len(".yaml")]: folder / name for name in names if name.endswith(".yaml")}
        self._modes = modes
        self._read: dict[str, RecordSchema] = {}

    def __getitem__(self, name: str) -> RecordSchema:
        file = self._files[name]
        if name not in self._read:
            schema = load_record_schema(file)
            if schema.name != name:
                raise SpecError((problem(file, "name", "must be the name of its file"),))
            if unknown := sorted(set(schema.modes) - self._modes):
                raise SpecError((problem(file, "modes", f"not among the vendor's modes: {', '.join(unknown)}"),))
            self._read[name] = schema
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files


def _senseless(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield the path and the trouble of everything that has the right shape and cannot mean anything."""
    known = _CLOSED | {f"target.{key}" for key in model.target.keys}
    known |= {f"credentials.{one}" for one in model.connection.credentials}
    known |= {f"params.{name}" for name in model.describe.params}
    if model.describe.choice:
        known |= {f"params.{model.describe.choice.param}"}
        if model.target.keys.get(model.describe.choice.target) != "required":
            yield "describe.choice.target", "must be a required key of target"
    for at, text in _texts(model.model_dump(by_alias=True, exclude={"title", "source"}), ""):
        yield from ((at, f"unknown placeholder {one}") for one in _placeholders(text) if one not in known)
        if not at.endswith("source") and set("{}") & set(PLACEHOLDER.sub("", text)):
            yield at, "a brace that belongs to no placeholder"
    for word, meaning in model.words.items():
        if word != "source" and meaning not in GOING_ON and meaning not in set(Verdict):
            yield f"words.{word}", f"must be running, empty or one of {', '.join(Verdict)}"
    if not set(model.modes.removal) <= set(model.modes.send):
        yield "modes.removal", "must all be in modes.send"
    yield from _nobody(model)
    yield from _mute(model)


def _mute(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield the calls that cannot bring what the engine needs of them."""
    locates = [
        (f"errors.ways.{n}.locate", one.locate) for n, one in enumerate(model.errors.ways if model.errors else ())
    ]
    locates += [("results.locate", model.results.locate if model.results else None)]
    needs = [("allocate", model.allocate, "url"), ("find", model.find, "url"), ("poll", model.poll, "word")]
    for at, call, needed in (*needs, *((at, call, "url") for at, call in locates)):
        if call is not None and needed not in call.read:
            yield f"{at}.read", f"must say where to read {needed}"
    if not model.upload.sends_file or model.upload.door is not Door.STORAGE:
        yield "upload", "must send the file (sends_file) through the storage door"


def _nobody(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield what is missing to prove who we are, or names a credential that nobody gives."""
    auth, given = model.connection.auth, model.connection.credentials
    if model.connection.account not in given:
        yield "connection.account", "must be one of credentials"
    if auth.kind is AuthKind.BASIC:
        for name in ("user", "password"):
            if getattr(auth, name) not in given:
                yield f"connection.auth.{name}", "must name one of credentials"
    elif not auth.headers:
        yield "connection.auth.headers", "must say which header carries the proof"
    if auth.kind is AuthKind.OAUTH2 and (auth.token is None or "token" not in auth.token.read):
        yield "connection.auth.token", "must be a call that reads token"


def _texts(node: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield every text below a node with its path."""
    if isinstance(node, str):
        yield at, str(node)
    elif isinstance(node, Mapping):
        for name, child in node.items():
            yield from _texts(child, f"{at}.{name}" if at else str(name))
    elif isinstance(node, list):
        for place, child in enumerate(node):
            yield from _texts(child, f"{at}.{place}")


def _placeholders(text: str) -> Iterator[str]:
    return (match[1] for match in PLACEHOLDER.finditer(text))
