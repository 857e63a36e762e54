"""Loads a vendor's folder (`vendor.yaml` and its record schemas) as `lading.core.vendor_rules.VendorRules`.

It does not know how a request is sent; it only makes sure that every placeholder, mode and word in it can mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.core.batch import Verdict
from lading.core.policy import Policy
from lading.core.vendor_rules import (
    PLACEHOLDER,
    AuthKind,
    AuthRules,
    Call,
    Case,
    Choice,
    DescribeRules,
    Dialect,
    Door,
    Download,
    ErrorLayout,
    ErrorsRules,
    FileRules,
    Limits,
    RowLogRules,
    VendorRules,
)
from lading.errors import SpecError, UsageError
from lading.spec.record_spec import load_record_schema, problem, read_model
from lading.spec.vendor_model import (
    AuthModel,
    CallModel,
    DescribeModel,
    DownloadModel,
    ErrorsModel,
    LimitsModel,
    PolicyModel,
    VendorModel,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from lading.core.record_schema import RecordSchema

#: What a status word may mean beside a verdict.
_GOING_ON = frozenset({"running", "empty"})
#: Placeholders that every vendor spec knows. Those of `target`, `params` and `credentials` are declared in the spec.
_CLOSED = frozenset(
    "ticket token slot.id slot.url found.url file.md5 file.md5_base64 file.size file.name".split()  # noqa: SIM905 - a list of words reads best as words
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
    return _compiled(model, schemas)


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
        if word != "source" and meaning not in _GOING_ON and meaning not in set(Verdict):
            yield f"words.{word}", f"must be running, empty or one of {', '.join(Verdict)}"
    if not set(model.modes.removal) <= set(model.modes.send):
        yield "modes.removal", "must all be in modes.send"
    yield from _nobody(model)
    for at, call in (("allocate", model.allocate), ("upload", model.upload), ("poll", model.poll)):
        needed = {"allocate": "url", "poll": "word"}.get(at)
        if needed and needed not in call.read:
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


def _compiled(model: VendorModel, schemas: Mapping[str, RecordSchema]) -> VendorRules:
    words = {word: meaning for word, meaning in model.words.items() if word != "source"}
    layout = model.row_log.errors.model_dump()
    for name in ("ignored_codes", "retry_codes"):
        layout[name] = tuple(layout[name])
    return VendorRules(
        name=model.name,
        title=model.title,
        default_base_url=model.connection.base_url,
        api_hosts=tuple(model.connection.api_hosts),
        storage_hosts=tuple(model.connection.storage_hosts),
        credentials=tuple(model.connection.credentials),
        account_credential=model.connection.account,
        target_keys={key: need == "required" for key, need in model.target.keys.items()},
        lookup=model.modes.lookup,
        modes=tuple(model.modes.send),
        removal_modes=tuple(model.modes.removal),
        file=FileRules(**model.file.model_dump(exclude={"source"})),
        policy=_policy(model.policy),
        row_log=RowLogRules(
            **model.row_log.model_dump(exclude={"source", "errors"}),
            errors=ErrorLayout(**layout),
        ),
        words={word: Verdict(meaning) for word, meaning in words.items() if meaning not in _GOING_ON},
        schemas=schemas,
        dialect=_dialect(model, words),
        default_schema=model.target.default_schema,
    )


def _policy(model: PolicyModel) -> Policy:
    plain = model.model_dump(exclude={"source"})
    durations = ("ask_after", "poll_first", "poll_most", "deadline")
    return Policy(**{name: seconds(value) if name in durations else value for name, value in plain.items()})


def _dialect(model: VendorModel, words: Mapping[str, str]) -> Dialect:
    results = model.results
    return Dialect(
        auth=_auth(model.connection.auth),
        describe=_describe(model.describe),
        allocate=_call(model.allocate),
        upload=_call(model.upload),
        poll=_call(model.poll),
        find=_call(model.find) if model.find else None,
        cancel=_call(model.cancel) if model.cancel else None,
        words={word.casefold(): meaning for word, meaning in words.items()},
        results=_download(results) if results else None,
        errors=_errors(model.errors) if model.errors else None,
        lost_after=model.lost_after,
        results_again=seconds(results.again) if results else timedelta(minutes=1),
        limits=_limits(model.connection.limits),
    )


def _call(model: CallModel) -> Call:
    return Call(
        method=model.method,
        url=model.url,
        door=model.door,
        headers=dict(model.headers),
        json=dict(model.json_body) if model.json_body is not None else None,
        form=dict(model.form) if model.form is not None else None,
        sends_file=model.sends_file,
        cases=tuple(Case(status=one.status, means=one.means, says=one.says) for one in model.cases),
        read={name: tuple(pointers) for name, pointers in model.read.items()},
    )


def _auth(model: AuthModel) -> AuthRules:
    return AuthRules(
        kind=model.kind,
        headers=dict(model.headers),
        user=model.user,
        password=model.password,
        token=_call(model.token) if model.token else None,
        renew_before=seconds(model.renew_before),
        lifetime=seconds(model.lifetime),
    )


def _describe(model: DescribeModel) -> DescribeRules:
    choice = model.choice
    return DescribeRules(
        check=_call(model.check) if model.check else None,
        choice=Choice(
            call=_call(choice.call),
            target=choice.target,
            param=choice.param,
            ids=tuple(choice.ids),
            names=tuple(choice.names),
        )
        if choice
        else None,
        template=_call(model.template) if model.template else None,
        params=dict(model.params),
    )


def _download(model: DownloadModel) -> Download:
    return Download(
        save_as=model.save_as,
        call=_call(model.call),
        locate=_call(model.locate) if model.locate else None,
    )


def _errors(model: ErrorsModel) -> ErrorsRules:
    return ErrorsRules(
        ways=tuple(_download(one) for one in model.ways),
        verdicts=frozenset(model.verdicts),
        counters=tuple(model.counters),
    )


def _limits(model: LimitsModel) -> Limits:
    plain = model.model_dump(exclude={"source"})
    durations = ("connect", "read", "whole")
    return Limits(**{name: seconds(value) if name in durations else value for name, value in plain.items()})
