"""Loads a vendor's folder (`vendor.yaml` and its record schemas) as `lading.core.vendor_rules.VendorRules`.

It does not know how a request is sent; it makes sure that every placeholder, mode and word in it can mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.core.batch import Verdict
from lading.core.vendor_rules import PLACEHOLDER, AuthKind, Door, VendorRules
from lading.errors import SpecError, UsageError
from lading.spec.record_spec import load_record_schema, read_model
from lading.spec.vendor_compile import GOING_ON, compiled
from lading.spec.vendor_model import VendorModel
from lading.spec.vendor_problems import problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint
    from importlib.resources.abc import Traversable

    from lading.core.record_schema import RecordSchema
    from lading.errors import Problem

#: Placeholders that every vendor spec knows. Those of `target`, `params` and `credentials` are declared in the spec.
_CLOSED = frozenset(
    {"ticket", "token", "slot.id", "slot.url", "found.url"}
    | {f"file.{one}" for one in ("md5", "md5_base64", "size", "name")}
)


#: Installed packages name their vendors in this group of entry points: `acme = "acme_lading:connect"`.
ENTRY_POINTS = "lading.vendors"


def available_vendors() -> tuple[str, ...]:
    """Return the names of the vendor specs in the box, and of those that installed packages bring."""
    return tuple(sorted({*_in_the_box(), *(one.name for one in entry_points(group=ENTRY_POINTS))}))


@cache
def _in_the_box() -> tuple[str, ...]:
    box = files("lading_specs")
    return tuple(one.name for one in box.iterdir() if one.is_dir() and (one / "vendor.yaml").is_file())


def vendor_entry_point(name: str) -> EntryPoint | None:
    """Return where an installed package says that it speaks to a vendor which is not in the box; None if none does.

    Raises:
        UsageError: when two packages claim the same name.
    """
    found = [] if name in _in_the_box() else list(entry_points(group=ENTRY_POINTS, name=name))
    if len(found) > 1:
        claims = ", ".join(one.value for one in found)
        raise UsageError(f"several installed packages bring a vendor {name}: {claims}", hint="uninstall all but one")
    return found[0] if found else None


def load_vendor(name: str) -> VendorRules:
    """Return the rules of a vendor in the box, of an installed package, or of a folder with a `vendor.yaml`.

    A folder is a name with a `/` or `.` in it; a package keeps its `vendor.yaml` beside the module that its entry point
    names. A vendor in the box is read once in a process, and its record schemas when they are asked for.

    Raises:
        UsageError: when there is no such vendor.
        SpecError: with every problem of its files.
    """
    if "/" in name or "." in name:
        folder = Path(name)
        if not (folder / "vendor.yaml").is_file():
            raise UsageError(f"there is no vendor.yaml in {name}", hint="give a folder that holds a vendor.yaml")
        return _whole(_load(folder))
    return _from_box(name)


def _whole(rules: VendorRules) -> VendorRules:
    """Return the rules of somebody's own spec, read whole at once, so that every problem in it is seen now."""
    wrong: list[Problem] = []
    for schema in rules.schemas:
        try:
            _ = rules.schemas[schema]
        except SpecError as error:
            wrong += error.problems
    if wrong:
        raise SpecError(tuple(wrong))
    return rules


def vendor_schema() -> dict[str, Any]:
    """Return the JSON Schema of `vendor.yaml`, for editors."""
    schema = VendorModel.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vendor.yaml of lading"}


@cache
def _from_box(name: str) -> VendorRules:
    if name in _in_the_box():
        return _load(files("lading_specs") / name)
    if (point := vendor_entry_point(name)) is not None:
        folder = _beside(point)
        rules = _whole(_load(folder, spoken_to_by=point.value))
        if rules.name != name:
            raise SpecError((problem(folder / "vendor.yaml", "name", f"must be {name}, as the entry point says"),))
        return rules
    raise UsageError(f"there is no vendor {name}", hint=f"vendors are: {', '.join(available_vendors())}")


def _beside(point: EntryPoint) -> Path:
    """Return the folder of the module that an entry point names, without running any of it."""
    found = find_spec(point.module.partition(".")[0])
    places = [] if found is None else list(found.submodule_search_locations or ())
    below = point.module.split(".")[1:]
    for place in places:
        folder = Path(place).joinpath(*below)
        folder = folder if folder.is_dir() else folder.parent
        if (folder / "vendor.yaml").is_file():
            return folder
    raise UsageError(
        f"the package of vendor {point.name} has no vendor.yaml beside {point.module}",
        hint="it belongs into the package that the entry point names",
    )


def _load(folder: Traversable, spoken_to_by: str = "") -> VendorRules:
    file = folder / "vendor.yaml"
    model = read_model(file, VendorModel)
    silent = () if spoken_to_by else _silent(model)
    if wrong := tuple(problem(file, at, message) for at, message in (*silent, *_senseless(model))):
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


def _silent(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield the blocks that are missing when nobody but the dialect can speak to the vendor."""
    need = {"connection.auth": model.connection.auth, "connection.limits": model.connection.limits}
    need |= {one: getattr(model, one) for one in ("describe", "allocate", "upload", "poll")}
    for at, block in need.items():
        if block is None:
            yield at, "is missing (only a vendor of a Python package can do without it)"


def _senseless(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield the path and the trouble of everything that has the right shape and cannot mean anything."""
    known = _CLOSED | {f"target.{key}" for key in model.target.keys}
    known |= {f"credentials.{one}" for one in model.connection.credentials}
    if model.describe:
        known |= {f"params.{name}" for name in model.describe.params}
    if model.describe and model.describe.choice:
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
    if not set(model.target.beside) <= set(model.target.keys):
        yield "target.beside", "must all be in target.keys"
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
    if model.upload and (not model.upload.sends_file or model.upload.door is not Door.STORAGE):
        yield "upload", "must send the file (sends_file) through the storage door"


def _nobody(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield what is missing to prove who we are, or names a credential that nobody gives."""
    auth, given = model.connection.auth, model.connection.credentials
    if model.connection.account not in given:
        yield "connection.account", "must be one of credentials"
    if auth is None:
        return
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
