"""Record schemas of a vendor's folder, loaded on first access: with values of settings, or as loose as any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from batchsync.core.tenant_rules import loosest
from batchsync.errors import SpecError
from batchsync.spec.record_spec import load_record_schema
from batchsync.spec.vendor_problems import problem
from batchsync.spec.vendor_settings import record_changes, with_any_identity, with_tenant_rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from batchsync.core.record_schema import RecordSchema
    from batchsync.spec.vendor_model import VendorModel


class LazySchemas(Mapping[str, "RecordSchema"]):
    """The record schemas of a folder by name, loaded on first access, because a job needs only one of them."""

    def __init__(self, folder: Traversable, model: VendorModel, values: Mapping[str, str]) -> None:
        """Keep the files of a folder.

        Args:
            folder: The folder; may not exist.
            model: The vendor spec.
            values: Values by setting.
        """
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        self._files = {name[: -len(".yaml")]: folder / name for name in names if name.endswith(".yaml")}
        self._model, self._values = model, values
        self._changes = record_changes(model, values)
        self._loaded: dict[str, RecordSchema] = {}

    def __getitem__(self, name: str) -> RecordSchema:
        """Return a record schema.

        Raises:
            SpecError: If its file is invalid.
        """
        file = self._files[name]
        if name not in self._loaded:
            schema = load_record_schema(file, self._changes.get(name))
            if schema.name != name:
                raise SpecError((problem(file, "name", "must equal the name of the file"),))
            if unknown := sorted(set(schema.modes) - set(self._model.modes.sends)):
                raise SpecError((problem(file, "modes", f"not in the vendor's modes: {', '.join(unknown)}"),))
            self._loaded[name] = with_tenant_rules(schema, self._model, self._values)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._files)

    def __len__(self) -> int:
        """Return the number of record schemas."""
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a record schema of a name."""
        return name in self._files


class LoosestSchemas(Mapping[str, "RecordSchema"]):
    """The record schemas of a folder that refuse no record which a schema with any values of settings takes."""

    def __init__(self, folder: Traversable, model: VendorModel) -> None:
        """Keep the files of a folder, and the vendor spec as it is written."""
        listed = [{name: value} for name, item in model.settings.items() for value in item.values]
        self._model = model
        self._variants = [LazySchemas(folder, model, values) for values in ({}, *listed)]

    def __getitem__(self, name: str) -> RecordSchema:
        """Return a record schema.

        Raises:
            SpecError: If its file is invalid.
        """
        found = loosest([variant[name] for variant in self._variants])
        return with_any_identity(found, self._model)

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._variants[0])

    def __len__(self) -> int:
        """Return the number of record schemas."""
        return len(self._variants[0])
