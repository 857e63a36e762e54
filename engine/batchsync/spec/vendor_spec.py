"""Load a vendor's folder (`vendor.yaml` and record schemas) as `VendorRules`.

Validates what the pydantic models cannot: placeholders, modes, statuses, and blocks that depend on each other.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import Verdict
from batchsync.core.policy import OnUnknownOutcome
from batchsync.core.vendor_calls import CallName
from batchsync.core.vendor_rules import FileFormat, JoinedBy, Sends
from batchsync.errors import SpecError, UsageError
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.record_spec import model_of, read_model
from batchsync.spec.vendor_auth_checks import check_auth
from batchsync.spec.vendor_compile import PENDING_MEANINGS, compile_vendor
from batchsync.spec.vendor_key_texts import describe_keys
from batchsync.spec.vendor_model import VendorModel
from batchsync.spec.vendor_page_checks import check_pages
from batchsync.spec.vendor_placeholders import check_placeholders, placeholders_of
from batchsync.spec.vendor_problems import problem
from batchsync.spec.vendor_records import LazySchemas, LoosestSchemas
from batchsync.spec.vendor_settings import changed_document, check_settings, effective, record_changes
from batchsync.util.plugins import VENDORS, find_plugin, plugin_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from importlib.metadata import EntryPoint
    from importlib.resources.abc import Traversable

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem
    from batchsync.spec.vendor_call_models import BatchCallModel, CallModel

#: Calls that every vendor of the HTTP dialect needs, and what must be read from responses.
_REQUIRED_CALLS = (CallName.UPLOAD, CallName.POLL)
_READ = {CallName.POLL: "status"}


def available_vendors() -> tuple[str, ...]:
    """Return the names of the bundled vendors and of those of installed packages."""
    return tuple(sorted({*_bundled(), *plugin_names(VENDORS)}))


def is_available(name: str) -> bool:
    """Return whether a vendor is bundled or installed."""
    return name in _bundled() or name in plugin_names(VENDORS)


@cache
def _bundled() -> tuple[str, ...]:
    folder = files("batchsync_specs")
    return tuple(path.name for path in folder.iterdir() if path.is_dir() and (path / "vendor.yaml").is_file())


def vendor_entry_point(name: str) -> EntryPoint | None:
    """Return the entry point of a vendor of an installed package; None for bundled and unknown vendors.

    Raises:
        UsageError: If several packages register the same name.
    """
    return None if name in _bundled() else find_plugin(VENDORS, name)


def load_vendor(name: str, chosen: Mapping[str, str] | None = None) -> VendorRules:
    """Load the rules of a bundled vendor, of an installed package, or of a folder with a `vendor.yaml`.

    A package has its `vendor.yaml` next to the module that its entry point names. Bundled vendors are cached, and their
    record schemas are loaded on first use.

    Args:
        name: Name of a vendor; a folder if it contains `/` or `.`.
        chosen: Values of its settings; the others have their defaults.

    Returns:
        The rules of the vendor.

    Raises:
        UsageError: If there is no such vendor.
        SpecError: If its files are invalid; contains every problem.
    """
    values = tuple(sorted((chosen or {}).items()))
    if "/" in name or "." in name:
        folder = Path(name)
        if not (folder / "vendor.yaml").is_file():
            raise UsageError(f"no vendor.yaml in {name}", hint="name a folder that contains a vendor.yaml")
        return _load(folder, dict(values), is_bundled=False)
    return _load_named(name, values)


def vendor_folder(name: str) -> Traversable:
    """Return the folder of a vendor that `load_vendor` loads.

    Raises:
        UsageError: If there is no such vendor.
    """
    if "/" in name or "." in name:
        return Path(name)
    if name in _bundled():
        return files("batchsync_specs") / name
    if (point := vendor_entry_point(name)) is None:
        raise UsageError(f"unknown vendor {name}", hint=f"available vendors: {', '.join(available_vendors())}")
    return _entry_point_dir(point)


def _load_schemas(rules: VendorRules) -> None:
    """Load all record schemas of a custom vendor at once, so that every problem in them is reported."""
    problems: list[Problem] = []
    for schema in rules.schemas:
        try:
            _ = rules.schemas[schema]
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(tuple(problems))


def vendor_schema() -> dict[str, Any]:
    """Return the JSON Schema of `vendor.yaml`, for editors, with a description of each key."""
    schema = VendorModel.model_json_schema(by_alias=True)
    describe_keys(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "vendor.yaml of batchsync"}


@cache
def _load_named(name: str, chosen: tuple[tuple[str, str], ...]) -> VendorRules:
    if name in _bundled():
        return _load(files("batchsync_specs") / name, dict(chosen))
    if (point := vendor_entry_point(name)) is not None:
        folder = _entry_point_dir(point)
        rules = _load(folder, dict(chosen), is_bundled=False, has_client=True)
        if rules.name != name:
            raise SpecError((problem(folder / "vendor.yaml", "name", f"must be {name}, the name of the entry point"),))
        return rules
    raise UsageError(f"unknown vendor {name}", hint=f"available vendors: {', '.join(available_vendors())}")


def _entry_point_dir(point: EntryPoint) -> Path:
    """Return the folder of the module that an entry point names, without importing it."""
    found = find_spec(point.module.partition(".")[0])
    folders = [] if found is None else list(found.submodule_search_locations or ())
    below = point.module.split(".")[1:]
    for package_folder in folders:
        folder = Path(package_folder).joinpath(*below)
        folder = folder if folder.is_dir() else folder.parent
        if (folder / "vendor.yaml").is_file():
            return folder
    raise UsageError(
        f"the package of vendor {point.name} has no vendor.yaml next to {point.module}",
        hint="vendor.yaml belongs in the package that the entry point names",
    )


def _load(
    folder: Traversable, chosen: Mapping[str, str], *, is_bundled: bool = True, has_client: bool = False
) -> VendorRules:
    """Load and validate a `vendor.yaml`.

    Args:
        folder: The folder of the vendor.
        chosen: Chosen values by setting.
        is_bundled: Whether the vendor is bundled; all record schemas and settings of others are validated.
        has_client: Whether a Python package implements the client.
    """
    file = folder / "vendor.yaml"
    model = read_model(file, VendorModel)
    _refuse_invalid(file, model, has_client=has_client)
    values = effective(model, chosen)
    changed = _changed(file, model, values) if values else model
    _refuse_invalid(file, changed, has_client=has_client)
    schemas = LazySchemas(folder / "records", changed, values)
    if changed.target.default_schema and changed.target.default_schema not in schemas:
        raise SpecError((problem(file, "target.default_schema", "no such file in records/"),))
    rules = compile_vendor(changed, schemas, LoosestSchemas(folder / "records", model), values)
    if is_bundled:
        return rules
    _load_schemas(rules)
    for name, item in model.settings.items():
        for value in item.values:
            below = ("settings", name, "values", value, "changes")
            variant = _changed(file, model, {name: value}, below)
            _refuse_invalid(file, variant, below, has_client=has_client)
            _check_schemas_of(folder, model, {name: value})
    return rules


def _changed(
    file: Traversable, model: VendorModel, values: Mapping[str, str], below: tuple[str, ...] = ()
) -> VendorModel:
    """Return a vendor spec with the changes of some values of its settings."""
    return model_of(file, VendorModel, changed_document(model, values), below)


def _check_schemas_of(folder: Traversable, model: VendorModel, values: Mapping[str, str]) -> None:
    """Validate the record schemas that a value of a setting changes."""
    schemas = LazySchemas(folder / "records", model, values)
    for name in record_changes(model, values):
        if name not in schemas:
            raise SpecError((problem(folder / "vendor.yaml", "settings", f"no record schema {name} in records/"),))
        _ = schemas[name]  # loading validates it


def _refuse_invalid(file: Traversable, model: VendorModel, below: tuple[str, ...] = (), *, has_client: bool) -> None:
    """Raise SpecError if a vendor spec, or what the changes at a path make of it, is inconsistent."""
    missing = () if has_client else _check_missing_blocks(model)
    found = (*missing, *_check_semantics(model))
    if problems := tuple(problem(file, ".".join((*below, at)), message) for at, message in found):
        raise SpecError(problems)


def _check_missing_blocks(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each block that the HTTP dialect lacks."""
    blocks = {
        "connection.auth": model.connection.auth,
        "connection.limits": model.connection.limits,
        "describe": model.describe,
        "calls": model.calls,
    }
    for at, block in blocks.items():
        if not block:
            yield at, "is missing (optional only for vendors of Python packages)"


def _check_semantics(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of everything that has the right type but is inconsistent."""
    if model.describe and model.describe.choice and model.target.keys.get(model.describe.choice.target) != "required":
        yield "describe.choice.target", "must be a required key of target"
    yield from check_placeholders(model)
    for status, meaning in model.statuses.items():
        if status != "source" and meaning not in PENDING_MEANINGS and meaning not in set(Verdict):
            yield f"statuses.{status}", f"must be running, empty or one of {', '.join(Verdict)}"
    if not set(model.target.non_identity_keys) <= set(model.target.keys):
        yield "target.non_identity_keys", "must all be in target.keys"
    yield from _check_modes(model)
    yield from _check_file(model)
    yield from check_auth(model)
    yield from check_pages(model)
    yield from _check_calls(model)
    yield from check_settings(model, frozenset(ConnectionModel.model_fields))


def _check_modes(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each property of modes that names a mode which cannot have it."""
    for name, wanted in (("keeps_absent", Sends.RECORDS), ("erases", Sends.REMOVALS)):
        able = {mode for mode, sends in model.modes.sends.items() if sends is wanted}
        if not able.issuperset(getattr(model.modes, name)):
            yield f"modes.{name}", f"must all be modes that send {wanted}: {', '.join(sorted(able)) or 'none'}"
    params = json.dumps(model.describe.params if model.describe else {})
    mixes = {Sends.RECORDS, Sends.REMOVALS} <= set(model.modes.sends.values()) and not model.modes.one_per_batch
    if mixes and "{mode}" in params and "{mode}" not in json.dumps(model.file.envelope or {}):
        yield "modes.one_per_batch", "must be true: {mode} of describe.params holds for a whole batch"


def _check_file(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each property of batch files and row logs that another one does not allow."""
    file, log = model.file, model.row_log
    text = json.dumps(file.document or {})
    if (file.format is FileFormat.JSON) != (file.document is not None):
        yield "file.document", "must be given with format: json, and only with it"
    elif file.document is not None and text.count('"{records}"') != 1:
        yield "file.document", 'must contain "{records}" once, as a whole value'
    if file.document is not None and file.gzip:
        yield "file.gzip", "must be false for a JSON document"
    known = {"records", *(f"target.{key}" for key in model.target.keys)}
    if unknown := sorted(set(placeholders_of(text)) - known):
        yield "file.document", f"unknown placeholder {unknown[0]}"
    if log.joined_by is JoinedBy.INPUTS:
        if file.format is not FileFormat.CSV:
            yield "row_log.joined_by", "inputs needs a file in CSV"
    elif not log.errors.ref:
        yield "row_log.errors.ref", "must name the member that identifies the row"
    if log.joined_by is JoinedBy.REF and "{ref}" not in json.dumps(file.envelope or {}):
        yield "row_log.joined_by", "ref needs {ref} in file.envelope"


def _check_calls(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each call that is missing, out of order, or does not read what the engine needs."""
    calls = {item.call: (f"calls.{number}", item) for number, item in enumerate(model.calls)}
    order = [item.call for item in model.calls]
    if order != sorted(calls, key=list(CallName).index):
        yield "calls", f"must be in this order, each once: {', '.join(CallName)}"
    if order and (missing := [name for name in _REQUIRED_CALLS if name not in calls]):
        yield "calls", f"lacks {', '.join(missing)}"
    at, upload = calls.get(CallName.UPLOAD, ("", None))
    if upload is not None and not upload.sends_file:
        yield at, "must send the file (sends_file)"
    if upload is not None and any(part.fields for part in upload.parts) and CallName.ALLOCATE not in calls:
        yield f"{at}.parts", "has fields, which need allocate"
    for place, call, needed in _needed_reads(calls):
        if needed not in call.read:
            yield f"{place}.read", f"must define where to read {needed}"
    yield from _check_unknown_outcomes(model, calls)
    for place, call in calls.values():
        yield from _check_parts(place, call)


def _needed_reads(calls: Mapping[CallName, tuple[str, BatchCallModel]]) -> Iterator[tuple[str, CallModel, str]]:
    """Yield path, call and name of each value that must be read from an answer."""
    for name, needed in _READ.items():
        if name in calls:
            yield (*calls[name], needed)
    at, upload = calls.get(CallName.UPLOAD, ("", None))
    if upload is None:
        return
    if CallName.ALLOCATE not in calls:
        yield at, upload, "id"
    grants = [calls[name] for name in (CallName.ALLOCATE, CallName.FIND) if name in calls]
    if "allocation.url" in placeholders_of(upload.url):
        yield from ((*item, "url") for item in grants)
    if any(part.fields for part in upload.parts):
        yield from ((*item, "fields") for item in grants)


def _check_parts(at: str, call: CallModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each part of a multipart body that is not one thing, and of a body of two kinds."""
    if not call.parts:
        return
    for number, part in enumerate(call.parts):
        if sum([part.json_body is not None, part.text is not None, part.file, part.fields]) != 1:
            yield f"{at}.parts.{number}", "must have one of json, text, file and fields"
        if (part.name is None) != part.fields:
            yield f"{at}.parts.{number}.name", "must be given, except for fields, which have names of their own"
    if not call.sends_file or sum(part.file for part in call.parts) != 1:
        yield f"{at}.parts", "must contain the file once, in a call that sends it (sends_file)"
    if call.json_body is not None or call.form is not None:
        yield f"{at}.parts", "cannot be combined with json or form"


def _check_unknown_outcomes(model: VendorModel, calls: Collection[CallName]) -> Iterator[tuple[str, str]]:
    """Yield path and message of each action on an unknown outcome that the calls do not allow."""
    action, allocates = model.policy.on_unknown_upload, CallName.ALLOCATE in calls
    if not calls:
        return
    if not allocates and action is not OnUnknownOutcome.STOP:
        yield "policy.on_unknown_upload", "must be stop: without an allocate call there is no id to ask by"
    if action is OnUnknownOutcome.TAKE_ANOTHER and CallName.COMMIT not in calls:
        yield "policy.on_unknown_upload", "take_another needs a commit call: the vendor processes an upload at once"
    for name in (CallName.FIND, CallName.COMMIT):
        if not allocates and name in calls:
            yield "calls", f"has {name}, which needs allocate"
