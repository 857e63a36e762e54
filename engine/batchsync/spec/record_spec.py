"""Load record schema files of a vendor (`records/*.yaml`) as `batchsync.core.record_schema.RecordSchema`.

`read_model` loads any data file of a vendor's folder.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.error import YAMLError

from batchsync.core.record_schema import Condition, Extra, Format, Kind, RecordSchema, Rule, Severity
from batchsync.errors import SpecError
from batchsync.spec.merged_content import merged
from batchsync.spec.vendor_problems import problem, pydantic_problem, syntax_problems
from batchsync.spec.yaml_parser import may_be_read_by_libyaml, yaml_parser
from batchsync.util.patterns import pattern_problem
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

#: Maximum size of a data file of a vendor in bytes; far above that of any real file.
FILE_MAX = 1_000_000

Text = Annotated[str, Field(min_length=1)]


def _check_pattern(pattern: str) -> str:
    """Validate a regular expression, which rows and literals are matched with."""
    if reason := pattern_problem(pattern):
        raise ValueError(f"a regular expression that the crate regex of Rust supports ({reason})")
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]


class Model(BaseModel):
    """Base model of data files: no unknown keys, no type coercion, no input values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)


class ExtraModel(Model):
    """Additional members of an object."""

    pattern: Annotated[Pattern, Field(min_length=1)]
    most: Annotated[int, Field(ge=1)]
    kind: Kind = Kind.SCALAR
    once: bool = False
    source: Text

    def to_core(self) -> Extra:
        """Return the core value."""
        return Extra(pattern=self.pattern, max_count=self.most, kind=self.kind, unique=self.once)


class RuleModel(Model):
    """Rule of a value. `required_in` lists modes, or `"*"` for every mode."""

    kind: Kind
    required_in: list[Text] = Field(default_factory=list)
    enum: list[Text] = Field(default_factory=list)
    enum_severity: Severity = Severity.REFUSE
    format: Format | None = None
    pattern: Pattern = ""
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    past: bool = False
    fields: dict[Text, RuleModel] = Field(default_factory=dict)
    extra: ExtraModel | None = None
    items: RuleModel | None = None
    distinct: list[Text] = Field(default_factory=list)
    source: str = ""

    def to_core(self, source: str = "") -> Rule:
        """Return the core rule. A rule without a source inherits that of its parent."""
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
            fields=tuple((name, rule.to_core(source)) for name, rule in self.fields.items()),
            extra=self.extra.to_core() if self.extra else None,
            items=self.items.to_core(source) if self.items else None,
            distinct=tuple(self.distinct),
            source=source,
        )


class ConditionModel(Model):
    """If `field` equals one of `equals`, the members `required` must be present."""

    field: Text
    equals: Annotated[list[Text], Field(min_length=1)]
    required: Annotated[list[Text], Field(min_length=1)]
    modes: list[Text] = Field(default_factory=list)
    source: Text


class RecordModel(Model):
    """A record schema file. `extra` allows members that the file does not name."""

    version: Literal[1]
    name: Text
    source: Text
    modes: Annotated[list[Text], Field(min_length=1)]
    fields: dict[Text, RuleModel] = Field(default_factory=dict)
    extra: ExtraModel | None = None
    fields_in: dict[Text, list[Text]] = Field(default_factory=dict)
    any_of: dict[Text, list[list[Text]]] = Field(default_factory=dict)
    conditions: list[ConditionModel] = Field(default_factory=list)
    differ: list[tuple[Text, Text]] = Field(default_factory=list)

    def to_core(self) -> RecordSchema:
        """Return the record schema."""
        root = RuleModel(kind=Kind.OBJECT, fields=self.fields, extra=self.extra, source=self.source)
        return RecordSchema(
            name=self.name,
            modes=tuple(self.modes),
            root=root.to_core(),
            fields_in={mode: frozenset(names) for mode, names in self.fields_in.items()},
            any_of={mode: tuple(frozenset(item) for item in sets) for mode, sets in self.any_of.items()},
            conditions=tuple(
                Condition(
                    field=condition.field,
                    equals=tuple(condition.equals),
                    required=tuple(condition.required),
                    modes=frozenset(condition.modes),
                )
                for condition in self.conditions
            ),
            differ=tuple(self.differ),
        )


def load_record_schema(file: Traversable, changes: Mapping[str, Any] | None = None) -> RecordSchema:
    """Load a record schema file.

    Args:
        file: The file.
        changes: Changes by settings of the vendor, merged into the content of the file.

    Returns:
        The record schema.

    Raises:
        SpecError: If the file, or what the changes make of it, is invalid; contains every problem.
    """
    model = read_model(file, RecordModel)
    if changes:
        document = merged(model.model_dump(mode="json", by_alias=True, exclude_unset=True), changes)
        model = model_of(file, RecordModel, document)
    invalid = [*_unknown_modes(model), *_unknown_members(model)]
    if invalid:
        raise SpecError(tuple(problem(file, at, message) for at, message in invalid))
    return model.to_core()


def _unknown_modes(model: RecordModel) -> Iterable[tuple[str, str]]:
    """Yield path and message of each undefined mode."""
    known = {"*", *model.modes}
    named = [(f"fields_in.{mode}", mode) for mode in model.fields_in]
    named += [(f"any_of.{mode}", mode) for mode in model.any_of]
    named += [(f"conditions.{n}.modes", mode) for n, item in enumerate(model.conditions) for mode in item.modes]
    named += list(_modes_of_rules(model.fields, "fields"))
    for at, mode in named:
        if mode not in known:
            yield at, f"unknown mode {mode}; modes of this schema: {', '.join(model.modes)}"


def _modes_of_rules(fields: dict[str, RuleModel], at: str) -> Iterable[tuple[str, str]]:
    """Yield path and name of each mode of the rules."""
    for name, rule in fields.items():
        for mode in rule.required_in:
            yield f"{at}.{name}.required_in", mode
        yield from _modes_of_rules(rule.fields, f"{at}.{name}.fields")
        if rule.items:
            yield from _modes_of_rules({"items": rule.items}, f"{at}.{name}")


def _unknown_members(model: RecordModel) -> Iterable[tuple[str, str]]:
    """Yield path and message of each undefined member."""
    named = [(f"fields_in.{mode}", name) for mode, names in model.fields_in.items() for name in names]
    named += [(f"any_of.{mode}", name) for mode, sets in model.any_of.items() for item in sets for name in item]
    named += [("differ", name) for pair in model.differ for name in pair]
    for n, item in enumerate(model.conditions):
        named += [(f"conditions.{n}", name) for name in (item.field, *item.required)]
    for at, name in named:
        if name not in model.fields:
            yield at, f"unknown field {name}{_suggestion(name, model.fields)}"


ModelT = TypeVar("ModelT", bound=BaseModel)


def read_model(file: Traversable, model: type[ModelT]) -> ModelT:
    """Load a YAML file as a model.

    Args:
        file: The file.
        model: Type of the model.

    Returns:
        The validated model.

    Raises:
        SpecError: If the file is invalid; contains every problem.
    """
    return model_of(file, model, read_document(file))


def model_of(file: Traversable, model: type[ModelT], document: Any, below: tuple[str, ...] = ()) -> ModelT:
    """Return content as a model.

    Args:
        file: File of the content, for places of problems.
        model: Type of the model.
        document: JSON-compatible content.
        below: Path in the file of the changes that made the content what it is.

    Returns:
        The validated model.

    Raises:
        SpecError: If the content is invalid; contains every problem.
    """
    try:
        # Via JSON: strict mode of Python values would refuse lists for tuples and strings for enums.
        return model.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=True)
    raise SpecError(tuple(pydantic_problem(file, model, item, below) for item in found))


def read_document(file: Traversable) -> Any:
    """Return the content of a YAML 1.2 file as Python values. Duplicate keys are refused.

    Args:
        file: The file.

    Raises:
        SpecError: If the file cannot be read, or is not YAML.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SpecError((problem(file, "", f"cannot be read: {reason}"),)) from None
    if len(content) > FILE_MAX:
        raise SpecError((problem(file, "", f"is larger than {FILE_MAX:,} bytes"),))
    if may_be_read_by_libyaml(text):
        with suppress(YAMLError):
            return yaml_parser(libyaml=True).load(text)
    try:
        return yaml_parser(libyaml=False).load(text)
    except YAMLError as error:
        message = str(getattr(error, "problem", None) or "invalid YAML").split("\n")[0]
        raise SpecError(syntax_problems(file, text) or (problem(file, "", message),)) from None


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Return a suggestion of the closest known name; empty if none is close."""
    close = nearest(name, known)
    return f". Did you mean {close}?" if close else ""
