"""Compiles a vendor's record schema files into `lading.core.record_schema`, and says where such a file is wrong.

It does not know how a value is checked, nor which vendor it reads for. `read_model` reads any data file of a vendor's
folder.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lading.core.record_schema import Condition, Extra, Format, Kind, RecordSchema, Rule, Severity
from lading.errors import SpecError
from lading.spec.vendor_problems import from_pydantic, problem, syntax_problems

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

#: No data file of a vendor comes near this; a larger one is a mistake or an attack.
FILE_MAX = 1_000_000

Text = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """The strictness of every data file: no unknown members, no guessing of types, no input echoed in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ExtraModel(Model):
    """Members that an object may have beyond the named ones."""

    pattern: Text
    most: Annotated[int, Field(ge=1)]
    kind: Kind = Kind.SCALAR
    once: bool = False
    source: Text

    def compiled(self) -> Extra:
        """Return the same as a plain value."""
        return Extra(pattern=self.pattern, most=self.most, kind=self.kind, once=self.once)


class RuleModel(Model):
    """What one value must be. `required_in` lists modes, or `"*"` for every mode."""

    kind: Kind
    required_in: list[Text] = Field(default_factory=list)
    enum: list[Text] = Field(default_factory=list)
    enum_severity: Severity = Severity.REFUSE
    format: Format | None = None
    pattern: str = ""
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    past: bool = False
    fields: dict[Text, RuleModel] = Field(default_factory=dict)
    extra: ExtraModel | None = None
    items: RuleModel | None = None
    distinct: list[Text] = Field(default_factory=list)
    source: str = ""

    def compiled(self, source: str = "") -> Rule:
        """Return the rule; one without a source of its own stands on that of the rule around it."""
        source = self.source or source
        return Rule(
            kind=self.kind,
            required_in=frozenset(self.required_in),
            enum=tuple(self.enum),
            enum_severity=self.enum_severity,
            format=self.format,
            pattern=self.pattern,
            min_length=self.min_length,
            max_length=self.max_length,
            past=self.past,
            fields=tuple((name, rule.compiled(source)) for name, rule in self.fields.items()),
            extra=self.extra.compiled() if self.extra else None,
            items=self.items.compiled(source) if self.items else None,
            distinct=tuple(self.distinct),
            source=source,
        )


class ConditionModel(Model):
    """If `field` equals one of `equals`, `required` must be there."""

    field: Text
    equals: Annotated[list[Text], Field(min_length=1)]
    required: Annotated[list[Text], Field(min_length=1)]
    modes: list[Text] = Field(default_factory=list)
    source: Text


class RecordModel(Model):
    """A whole record schema file. `extra` lets in members that the file does not name."""

    version: Literal[1]
    name: Text
    source: Text
    modes: Annotated[list[Text], Field(min_length=1)]
    legacy: str = ""
    fields: dict[Text, RuleModel] = Field(default_factory=dict)
    extra: ExtraModel | None = None
    fields_in: dict[Text, list[Text]] = Field(default_factory=dict)
    any_of: dict[Text, list[list[Text]]] = Field(default_factory=dict)
    conditions: list[ConditionModel] = Field(default_factory=list)
    differ: list[tuple[Text, Text]] = Field(default_factory=list)

    def compiled(self) -> RecordSchema:
        """Return the record schema."""
        root = RuleModel(kind=Kind.OBJECT, fields=self.fields, extra=self.extra, source=self.source)
        return RecordSchema(
            name=self.name,
            modes=tuple(self.modes),
            root=root.compiled(),
            fields_in={mode: frozenset(names) for mode, names in self.fields_in.items()},
            any_of={mode: tuple(frozenset(one) for one in sets) for mode, sets in self.any_of.items()},
            conditions=tuple(
                Condition(
                    field=one.field,
                    equals=tuple(one.equals),
                    required=tuple(one.required),
                    modes=frozenset(one.modes),
                )
                for one in self.conditions
            ),
            differ=tuple(self.differ),
            legacy=self.legacy,
        )


def load_record_schema(file: Traversable) -> RecordSchema:
    """Return the record schema that a file describes.

    Raises:
        SpecError: with every problem found: the file, the path of the key, and what would be right.
    """
    model = read_model(file, RecordModel)
    wrong = [*_unknown_modes(model), *_unknown_members(model)]
    if wrong:
        raise SpecError(tuple(problem(file, at, message) for at, message in wrong))
    return model.compiled()


def _unknown_modes(model: RecordModel) -> Iterable[tuple[str, str]]:
    """Yield where a mode is named that the schema does not have."""
    known = {"*", *model.modes}
    named = [(f"fields_in.{mode}", mode) for mode in model.fields_in]
    named += [(f"any_of.{mode}", mode) for mode in model.any_of]
    named += [(f"conditions.{n}.modes", mode) for n, one in enumerate(model.conditions) for mode in one.modes]
    named += list(_modes_of_rules(model.fields, "fields"))
    for at, mode in named:
        if mode not in known:
            yield at, f"no such mode here: {mode}. This schema has {', '.join(model.modes)}"


def _modes_of_rules(fields: dict[str, RuleModel], at: str) -> Iterable[tuple[str, str]]:
    """Yield every mode that a rule names, with its place."""
    for name, rule in fields.items():
        for mode in rule.required_in:
            yield f"{at}.{name}.required_in", mode
        yield from _modes_of_rules(rule.fields, f"{at}.{name}.fields")
        if rule.items:
            yield from _modes_of_rules({"items": rule.items}, f"{at}.{name}")


def _unknown_members(model: RecordModel) -> Iterable[tuple[str, str]]:
    """Yield where a member is named that the schema does not have."""
    named = [(f"fields_in.{mode}", name) for mode, names in model.fields_in.items() for name in names]
    named += [(f"any_of.{mode}", name) for mode, sets in model.any_of.items() for one in sets for name in one]
    named += [("differ", name) for pair in model.differ for name in pair]
    for n, one in enumerate(model.conditions):
        named += [(f"conditions.{n}", name) for name in (one.field, *one.required)]
    for at, name in named:
        if name not in model.fields:
            yield at, f"no such field: {name}{_close(name, model.fields)}"


ModelT = TypeVar("ModelT", bound=BaseModel)


def read_model(file: Traversable, model: type[ModelT]) -> ModelT:
    """Return the YAML file as a value of the model.

    Raises:
        SpecError: with every problem found.
    """
    document = _read_yaml(file)
    try:
        # By way of JSON, whose strict mode knows lists and texts only, as YAML does: no guessing in between.
        return model.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=True)
    raise SpecError(tuple(from_pydantic(file, model, one) for one in found))


def _read_yaml(file: Traversable) -> Any:
    """Return the plain content of a YAML 1.2 file. Keys that stand there twice are refused."""
    try:
        content = file.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SpecError((problem(file, "", f"cannot be read: {why}"),)) from None
    if len(content) > FILE_MAX:
        raise SpecError((problem(file, "", f"is larger than {FILE_MAX:,} bytes"),))
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        said = str(getattr(error, "problem", None) or "is no YAML").split("\n")[0]
        raise SpecError(syntax_problems(file, text) or (problem(file, "", said),)) from None


def _close(name: str, known: Iterable[str]) -> str:
    """Return a hint at the closest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f". Did you mean {close[0]}?" if close else ""
