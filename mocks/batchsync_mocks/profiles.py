"""Fault profiles: named, composable sets of faults and switches, read from bundled or user-supplied YAML files."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KEYS = {"about", "faults", "switches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A fault profile: faults to arm, and switches by vendor."""

    name: str = ""
    about: str = ""
    faults: tuple[Fault, ...] = ()
    switches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of the bundled profiles."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


def profile(selection: str | Path | Sequence[str | Path] | None) -> Profile:
    """Return a profile, or several merged: `storm`, `flaky+slow`, `["flaky", "mine.yaml"]`.

    Faults add up; where two profiles set the same switch, the later wins.

    Raises:
        ValueError: If a profile is unknown, or its file is invalid.
    """
    if selection is None:
        return Profile()
    selected = [selection] if isinstance(selection, str | Path) else list(selection)
    parts = [part for item in selected for part in (item.split("+") if isinstance(item, str) else [item])]
    return merged([_read(part) for part in parts])


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return profiles merged into a single profile."""
    parts = list(profiles)
    switches: dict[str, dict[str, Any]] = {}
    for part in parts:
        for vendor, values in part.switches.items():
            switches.setdefault(vendor, {}).update(values)
    return Profile(
        name="+".join(part.name for part in parts),
        about=" ".join(part.about for part in parts),
        faults=tuple(fault for part in parts for fault in part.faults),
        switches=switches,
    )


def _folder() -> Any:
    """Return the folder of the bundled profiles."""
    return files("batchsync_mocks") / "profiles"


def _read(name: str | Path) -> Profile:
    """Return a bundled profile by name, or the profile in a file."""
    path = Path(name)
    is_file = path.suffix in {".yaml", ".yml"}
    if not is_file and str(name) not in names():
        msg = f"Unknown fault profile {str(name)[:60]!r}; bundled: {', '.join(names())}. Or pass a .yaml path."
        raise ValueError(msg)
    try:
        text = path.read_text("utf-8") if is_file else (_folder() / f"{name}.yaml").read_text("utf-8")
        return _parsed(path.stem, text)
    except (OSError, ValueError, TypeError) as error:
        msg = f"Invalid fault profile {name}: {error}"
        raise ValueError(msg) from None


def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no YAML.
    """
    return _loaded(file.read_text("utf-8"))


def _loaded(text: str) -> Any:
    """Return the content of a YAML text."""
    # Imported on use: only few starts need YAML, and its import takes longer than the rest of the start.
    yaml = import_module("ruamel.yaml")
    try:
        return yaml.YAML(typ="safe", pure=True).load(text)
    except yaml.error.YAMLError as error:
        raise ValueError(str(error)) from None


def _parsed(name: str, text: str) -> Profile:
    """Return the profile in a YAML text."""
    content = _loaded(text) or {}
    if not isinstance(content, dict) or not set(content) <= _KEYS:
        msg = f"a profile is a mapping with the keys {', '.join(sorted(_KEYS))}"
        raise ValueError(msg)
    switches = content.get("switches", {})
    if not isinstance(switches, dict) or not all(isinstance(values, dict) for values in switches.values()):
        msg = "switches are grouped by vendor, as in {sitecore-cdp: {allocate_status: 201}}"
        raise ValueError(msg)
    faults = tuple(Fault.from_json(item) for item in content.get("faults", []))
    return Profile(name=name, about=str(content.get("about", "")), faults=faults, switches=switches)
