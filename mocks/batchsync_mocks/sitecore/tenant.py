"""Rules of a tenant of Sitecore that switches select: identity rules, names of extensions, and known attributes.

C3 and C4 of sitecore-cdp.md: tenants of data model 2.1 identify guests by identifiers only, those of 2.0 by rules of
their own, which may name personal data. A tenant's schema lists the attributes of its extensions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from sys import intern
from typing import TYPE_CHECKING, Any

from batchsync_mocks.sitecore import problems
from batchsync_mocks.sitecore.problems import RecordRejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync_mocks.sitecore.checks import Value
    from batchsync_mocks.sitecore.switches import SitecoreSwitches

#: What identifies a guest if the data model of the tenant is not set: assumed in 5.1.
EITHER = (("identifiers",), ("email",))
ONLY_IDENTIFIERS = (("identifiers",),)
_PARTS_OF_A_GROUP = frozenset({"name", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Rules of a tenant.

    Attributes:
        identity: Sets of attributes, each of which identifies a guest.
        free_extensions: Whether extensions of guests have any name and key.
        attributes: Kinds of attributes by name, by path of their groups, by schema; None if any attribute is known.
        undefined: Code and message of the error log for an attribute that is not known.
    """

    identity: tuple[tuple[str, ...], ...] = EITHER
    free_extensions: bool = False
    attributes: Mapping[str, Mapping[str, Mapping[str, str]]] | None = None
    undefined: tuple[str, str] = problems.VALIDATION

    @property
    def needed(self) -> str:
        """What identifies a guest, in words."""
        return " or ".join(" and ".join(names) for names in self.identity)

    def identities_of(self, value: Value) -> list[tuple[str, str]]:
        """Return the identities of a guest in the order of the rules, as provider and id; "" for personal data."""
        found: list[tuple[str, str]] = []
        for names in self.identity:
            if names == ("identifiers",):
                found += [(intern(item["provider"]), item["id"]) for item in value.get("identifiers", ())]
            elif names == ("email",):
                # Providers are never empty, so an address cannot collide with an identifier.
                found += [("", value["email"].lower())] if value.get("email") else []
            elif all(value.get(name) for name in names):
                found.append(("", "\0".join(["", *(_text(value[name]) for name in names)])))
        return found

    def check_attributes(self, schema: str, value: Value) -> None:
        """Check that the tenant knows all attributes of a record, and that they are of their kind.

        Raises:
            RecordRejectedError: If one is unknown or of another kind.
        """
        for path, kinds in (self.attributes or {}).get(schema, {}).items():
            for group in _objects_at(value, path.split(".")):
                for name, content in group.items():
                    if name in _PARTS_OF_A_GROUP:
                        continue
                    if name not in kinds:
                        raise RecordRejectedError(self.undefined, f"Undefined attribute: {path}.{name}")
                    if not _is_of(content, kinds[name]):
                        raise RecordRejectedError(problems.VALIDATION, f"Incorrect data type: {path}.{name}")


DEFAULT = Tenant()


def tenant_of(switches: SitecoreSwitches) -> Tenant:
    """Return the tenant that switches select."""
    identity: tuple[tuple[str, ...], ...] = ONLY_IDENTIFIERS if switches.data_model == "2.1" else EITHER
    if switches.identity_rules is not None and switches.data_model != "2.1":
        identity = tuple(tuple(names) for names in switches.identity_rules)
    return Tenant(
        identity=identity,
        free_extensions=switches.data_model == "2.0",
        attributes=None if switches.attributes is None else switches.attributes["records"],
        undefined=("400", switches.undefined_attribute),
    )


def _text(content: Any) -> str:
    """Return the text of an attribute of personal data; case does not matter (assumed)."""
    return content.lower() if isinstance(content, str) else json.dumps(content, sort_keys=True, default=str)


def _objects_at(value: Any, path: list[str]) -> Iterator[Value]:
    """Yield the objects in the lists at a path."""
    if isinstance(value, list):
        for item in value:
            yield from _objects_at(item, path)
    elif isinstance(value, dict) and path:
        yield from _objects_at(value.get(path[0]), path[1:])
    elif isinstance(value, dict):
        yield value


def _is_of(content: Any, kind: str) -> bool:
    """Return whether the value of an attribute is of a kind."""
    if kind == "boolean" or isinstance(content, bool):
        return kind == "boolean" and isinstance(content, bool)
    if kind == "string":
        return isinstance(content, str)
    if not isinstance(content, int | float | Decimal):
        return False
    return kind == "number" or content == int(content)


def is_attributes(value: object) -> bool:
    """Return whether a value has the form of a file of attributes, or is None."""
    if value is None:
        return True
    records = value.get("records") if isinstance(value, dict) and set(value) == {"version", "records"} else None
    return isinstance(records, dict) and all(
        isinstance(paths, dict)
        and all(
            isinstance(kinds, dict) and set(kinds.values()) <= {"string", "boolean", "integer", "number"}
            for kinds in paths.values()
        )
        for paths in records.values()
    )


def is_member_sets(value: object) -> bool:
    """Return whether a value is a list of lists of names, or None."""
    return value is None or (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(names, list) and names and all(isinstance(name, str) for name in names) for names in value)
    )
