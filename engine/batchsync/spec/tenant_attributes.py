"""Read the attributes of a tenant: a file that a connection names, with the attributes that the tenant has defined."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from batchsync.core.tenant_rules import attribute_paths, extra_at
from batchsync.errors import SpecError
from batchsync.spec.record_spec import Model, Text, read_model
from batchsync.spec.vendor_problems import problem
from batchsync.util.patterns import contains_pattern
from batchsync.util.suggestions import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem

AttributeKind = Literal["string", "boolean", "integer", "number"]


class AttributesModel(Model):
    """The file. `records` has kinds of attributes by name, below the path of their list and the name of the schema."""

    version: Literal[1]
    records: dict[Text, dict[Text, dict[Text, AttributeKind]]] = Field(min_length=1)


def read_attributes(file: Path, rules: VendorRules) -> str:
    """Return the attributes of a tenant as JSON: kinds by name, by path, by record schema.

    Args:
        file: The file.
        rules: Rules of the vendor.

    Raises:
        SpecError: If the file is invalid, or names what the vendor does not have; contains every problem.
    """
    model = read_model(file, AttributesModel)
    if found := tuple(_problems(file, model, rules)):
        raise SpecError(found)
    return json.dumps(model.records, sort_keys=True)


def _problems(file: Path, model: AttributesModel, rules: VendorRules) -> Iterator[Problem]:
    """Yield the record schemas, paths and names that the vendor does not have."""
    for record, paths in model.records.items():
        if record not in rules.schemas:
            message = f"{rules.name} has no schema {record}"
            yield problem(
                file, ("records", record), message, one_of(rules.schemas), did_you_mean(record, rules.schemas)
            )
            continue
        schema = rules.schemas[record]
        known = attribute_paths(schema)
        for path, kinds in paths.items():
            extra = extra_at(schema, path)
            if extra is None or path not in known:
                message = f"{record} has no attributes of a tenant there"
                yield problem(file, ("records", record, path), message, one_of(known), did_you_mean(path, known))
                continue
            for name in kinds:
                if not contains_pattern(extra.pattern, name):
                    at = ("records", record, path, name)
                    yield problem(file, at, "invalid attribute name", f"a name that matches {extra.pattern}")
