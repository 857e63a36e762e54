"""Fault profiles: named, composable bundles of faults and switches, as YAML files of this package or of the user.

They do not know how a fault strikes; a profile only says which requests it may meet and how likely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MEMBERS = {"about", "faults", "switches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a profile does: faults to arm, and switches by vendor."""

    name: str = ""
    about: str = ""
    faults: tuple[Fault, ...] = ()
    switches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def names() -> list[str]:
    """List the profiles in the box."""
    return sorted(one.name.removesuffix(".yaml") for one in _folder().iterdir() if one.name.endswith(".yaml"))


def profile(wanted: str | Path | Sequence[str | Path] | None) -> Profile:
    """Read one profile, or several made one: `storm`, `flaky+slow`, `["flaky", "mine.yaml"]`.

    Faults add up; of switches that two profiles turn, the later wins.

    Raises:
        ValueError: there is no such profile, or the file is not one.
    """
    if wanted is None:
        return Profile()
    listed = [wanted] if isinstance(wanted, str | Path) else list(wanted)
    parts = [part for one in listed for part in (one.split("+") if isinstance(one, str) else [one])]
    return merged([_read(part) for part in parts])


def merged(several: Iterable[Profile]) -> Profile:
    """Make one profile of several."""
    listed = list(several)
    switches: dict[str, dict[str, Any]] = {}
    for one in listed:
        for vendor, turned in one.switches.items():
            switches.setdefault(vendor, {}).update(turned)
    return Profile(
        name="+".join(one.name for one in listed),
        about=" ".join(one.about for one in listed),
        faults=tuple(fault for one in listed for fault in one.faults),
        switches=switches,
    )


def _folder() -> Any:
    return files("lading_mocks") / "profiles"


def _read(wanted: str | Path) -> Profile:
    given = Path(wanted)
    own = given.suffix in {".yaml", ".yml"}
    if not own and str(wanted) not in names():
        msg = f"No fault profile {str(wanted)[:60]!r}; there are {', '.join(names())}, or give a path to a .yaml file."
        raise ValueError(msg)
    try:
        text = given.read_text("utf-8") if own else (_folder() / f"{wanted}.yaml").read_text("utf-8")
        return _parsed(given.stem, text)
    except (OSError, ValueError, TypeError) as error:
        msg = f"The fault profile {wanted} cannot be used: {error}"
        raise ValueError(msg) from None


def _parsed(name: str, text: str) -> Profile:
    # Only profiles need YAML, and it takes longer to import than all the rest takes to start.
    yaml = import_module("ruamel.yaml")
    try:
        content = yaml.YAML(typ="safe", pure=True).load(text) or {}
    except yaml.error.YAMLError as error:
        raise ValueError(str(error)) from None
    if not isinstance(content, dict) or not set(content) <= _MEMBERS:
        msg = f"a profile is a mapping with {', '.join(sorted(_MEMBERS))}"
        raise ValueError(msg)
    switches = content.get("switches", {})
    if not isinstance(switches, dict) or not all(isinstance(one, dict) for one in switches.values()):
        msg = "switches are given by vendor, as in {sitecore-cdp: {allocate_status: 201}}"
        raise ValueError(msg)
    faults = tuple(Fault.from_json(one) for one in content.get("faults", []))
    return Profile(name=name, about=str(content.get("about", "")), faults=faults, switches=switches)
