"""Scenarios: runs of jobs against mocks of the vendors with faults, and what is expected of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.mapping import Place
from batchsync.core.vendor_calls import PLACEHOLDER, CallName, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.mapping_test import GivenRow
    from batchsync.core.vendor_calls import Call, Dialect

#: Kinds of faults of the bundled mocks, as `batchsync_mocks.faults` has them.
FAULT_KINDS = (
    "refuse", "status", "throttle", "deny", "vanish", "expire", "revoke", "delay", "reset", "break_upload", "rewind",
    "lose_answer", "half_close", "reset_answer", "cut", "cut_unframed", "drip", "blank", "corrupt", "replace_answer",
)  # fmt: skip
#: Calls that a fault can hit.
FAULT_CALLS = (*(item.value for item in CallName), "results", "errors", "token")
#: Path of the storage of the bundled mocks, which signed URLs lead to.
_STORAGE_PATH = "^/_storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFault:
    """A fault of the mocks: its kind, the call that it hits (empty: any), and the mocks' own settings by name."""

    kind: str
    on: str = ""
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run against mocks.

    Attributes:
        name: Its name, unique in the file.
        jobs: Names of the jobs that run; empty for all.
        rows: Rows of the source by job, instead of those that the job reads.
        paths: Path of the source by job, relative to jobs.yaml, instead of its own.
        profiles: Bundled fault profiles of the mocks.
        faults: Further faults.
        switches: Switches of the mocks by vendor.
        seed: Seed of the mocks.
        expect: Expected exit code (`exit`), and number of rows by outcome, over all jobs.
        place: Location in jobs.yaml.
    """

    name: str
    jobs: tuple[str, ...] = ()
    rows: Mapping[str, tuple[GivenRow, ...]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    faults: tuple[ScenarioFault, ...] = ()
    switches: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    seed: int = 0
    expect: Mapping[str, int] = field(default_factory=dict)
    place: Place = field(default=Place(), compare=False)


def mock_faults(scenario: Scenario, dialects: Mapping[str, Dialect]) -> Iterator[dict[str, object]]:
    """Yield the faults of a scenario as the mocks read them: one for each vendor that has the call.

    Args:
        scenario: The scenario.
        dialects: HTTP calls of the vendors of its jobs, by vendor.

    Yields:
        Fields of a fault of `batchsync_mocks`.
    """
    for fault in scenario.faults:
        for vendor, dialect in dialects.items():
            calls = calls_of(dialect, fault.on) if fault.on else [None]
            for call in calls:
                matched = {} if call is None else {"method": call.method, "path": _path_pattern(call)}
                yield {"kind": fault.kind, "vendor": vendor, **matched, **fault.settings}


def calls_of(dialect: Dialect, name: str) -> list[Call]:
    """Return the calls of a vendor that have a name of `FAULT_CALLS`; none if it has no such call."""
    if name in set(CallName):
        found = dialect.calls.get(CallName(name))
        return [found] if found is not None else []
    if name == "token":
        return [dialect.auth.token] if dialect.auth.token is not None else []
    if name == "results":
        return [dialect.results.call] if dialect.results is not None else []
    return [item.call for item in dialect.errors.downloads] if dialect.errors is not None else []


def _path_pattern(call: Call) -> str:
    """Return the regular expression of the path of a call at the mocks."""
    if call.endpoint is Endpoint.STORAGE:
        return _STORAGE_PATH
    path = call.url.partition("?")[0]
    parts = [re.escape(part) for part in PLACEHOLDER.sub("\0", path).split("\0")]
    return "^" + "[^/]+".join(parts) + "$"
