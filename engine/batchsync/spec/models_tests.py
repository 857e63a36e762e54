"""Pydantic models of `tests:` of a job. `compile_tests` checks what depends on several keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from batchsync.spec.field_types import Text
from batchsync.spec.models_source import Strict

_ROW: dict[str, Any] = {"type": "object", "additionalProperties": True}
_ROWS: dict[str, Any] = {"anyOf": [{**_ROW, "minProperties": 1}, {"type": "array", "items": _ROW, "minItems": 1}]}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_RECORDS: dict[str, Any] = {"anyOf": [_ROW, {"type": "array", "items": _ROW}]}
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}


def _unchanged(value: Any) -> Any:
    """Return the value of a field that `compile_tests` validates."""
    return value


Name = Text
Rows = Annotated[Any, PlainValidator(_unchanged), WithJsonSchema(_ROWS)]
Joined = Annotated[
    Any,
    PlainValidator(_unchanged),
    WithJsonSchema({"type": "object", "additionalProperties": _ROWS, "minProperties": 1}),
]
Removed = Annotated[
    Any,
    PlainValidator(_unchanged),
    WithJsonSchema(
        {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}, {"type": "object", "additionalProperties": _SCALAR}]}
    ),
]
Records = Annotated[Any, PlainValidator(_unchanged), WithJsonSchema(_RECORDS)]
Reasons = Annotated[
    Any,
    PlainValidator(_unchanged),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]


class MappingTestModel(Strict):
    """A test of the mapping: given rows, and the records or reasons that are expected of them."""

    model_config = ConfigDict(title="Test")

    name: Name = Field(title="Name", description="Unique in the job.", examples=["names in capitals"])
    given: Rows | None = Field(
        None,
        title="Given",
        description="A row of the source, or a list of rows: values by column. Columns that are not named are null.",
        examples=[{"CustomerKey": "C1", "FirstName": "ANNA"}],
    )
    joined: Joined | None = Field(
        None,
        title="Joined rows",
        description="Rows of joins, by the path or table of the join. The columns of other joins may be among those of "
        "`given`.",
        examples=[{"data/products.csv": [{"ProductKey": "P1", "Name": "Bell"}]}],
    )
    removed: Removed | None = Field(
        None,
        title="Removed key",
        description="Instead of `given`, a key that left the source: a value, or values by key column.",
        examples=["C1"],
    )
    expect: Records | None = Field(
        None,
        title="Expected records",
        description="The record, or a list of all records, as they would be sent.",
        examples=[{"guestType": "customer", "firstName": "Anna"}],
    )
    reason: Reasons | None = Field(
        None,
        title="Reason",
        description="Why the row is invalid, or a part of it; a list for several invalid records.",
        examples=["email is required"],
    )
    left_out: bool | None = Field(
        None,
        title="Left out",
        description="true: `source.where` selects none of the rows.",
        examples=[True],
    )
