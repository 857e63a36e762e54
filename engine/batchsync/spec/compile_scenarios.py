"""Compile `scenarios:` into `Scenario` values, and report what does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.scenario import Scenario, ScenarioFault
from batchsync.spec.compile_tests import compile_rows
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.spec.model_validator import to_python
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from batchsync.core.mapping_test import GivenRow
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_scenarios import FaultModel, ScenarioModel
    from batchsync.spec.problems import Problems

#: Bundled fault profiles of the mocks, as `batchsync_mocks` has them.
PROFILES = (
    "bulk", "corrupt-log", "cut", "expired", "false-success", "flaky", "gateway", "intermittent-404", "late-answers",
    "lost-answer", "never-finishes", "other-forms", "revoked", "slow", "slow-headers", "stale-status", "storm",
    "throttle",
)  # fmt: skip


def compile_scenarios(
    models: Sequence[ScenarioModel], node: Typed | None, jobs: Collection[str], problems: Problems
) -> tuple[Scenario, ...]:
    """Return the scenarios of a file.

    Args:
        models: The validated blocks.
        node: The same blocks with places.
        jobs: Names of all jobs.
        problems: Receives unknown jobs and profiles, and names that occur twice.
    """
    blocks = node.items if isinstance(node, TypedSeq) else ()
    found: dict[str, Scenario] = {}
    for model, block in zip(models, blocks, strict=False):
        if not isinstance(block, TypedMap):
            continue
        if model.name in found:
            line = found[model.name].place.line
            message = f"a second scenario is called {quoted(model.name)}"
            problems.add("test_name", block.start, message, f"unique names; the first is in line {line}")
        _check_names(block.get("jobs"), "job", jobs, problems)
        _check_names(block.get("profile"), "fault profile", PROFILES, problems)
        rows, paths = _sources(block.get("sources"), jobs, problems)
        faults = block.get("faults")
        places = faults.items if isinstance(faults, TypedSeq) else ()
        found.setdefault(
            model.name,
            Scenario(
                name=model.name,
                jobs=tuple(model.jobs),
                rows=rows,
                paths=paths,
                profiles=tuple(model.profile),
                faults=tuple(_fault(item, at.start, problems) for item, at in zip(model.faults, places, strict=False)),
                switches=_switches(block.get("switches"), problems),
                seed=model.seed,
                expect={name: count for name, count in model.expect.model_dump().items() if count is not None},
                place=problems.source.place(block.start),
            ),
        )
    return tuple(found.values())


def _check_names(node: Typed | None, kind: str, known: Iterable[str], problems: Problems) -> None:
    """Report names of a list that do not exist."""
    known = list(known)
    for item in node.items if isinstance(node, TypedSeq) else ():
        if isinstance(item, Value) and item.value not in known:
            name = str(item.value)
            advice = problems.suggest(name, known)
            problems.add("scenario", item.start, f"unknown {kind} {quoted(name)}", one_of(known), advice)


def _sources(
    node: Typed | None, jobs: Collection[str], problems: Problems
) -> tuple[Mapping[str, tuple[GivenRow, ...]], Mapping[str, str]]:
    """Return the rows, and the paths, of sources by job."""
    rows: dict[str, tuple[GivenRow, ...]] = {}
    paths: dict[str, str] = {}
    if node is not None and not isinstance(node, TypedMap):
        problems.add("scenario", node.start, '"sources" is not a mapping', "rows or a path by job")
    for entry in node.entries if isinstance(node, TypedMap) else ():
        if entry.key not in jobs:
            advice = problems.suggest(entry.key, jobs)
            problems.add("scenario", entry.start, f"unknown job {quoted(entry.key)}", one_of(jobs), advice)
        elif isinstance(entry.value, Value):
            paths[entry.key] = str(entry.value.value)
        else:
            rows[entry.key] = compile_rows(entry.value, entry.key, problems)
    return rows, paths


def _switches(node: Typed | None, problems: Problems) -> Mapping[str, Mapping[str, object]]:
    """Return the switches by vendor. Their names and values are checked by the mocks."""
    if node is None:
        return {}
    if not isinstance(node, TypedMap) or not all(isinstance(entry.value, TypedMap) for entry in node.entries):
        problems.add("scenario", node.start, '"switches" is no mapping by vendor', "sitecore-cdp: {switch: value}")
        return {}
    found: dict[str, Mapping[str, object]] = to_python(node)
    return found


def _fault(model: FaultModel, at: int, problems: Problems) -> ScenarioFault:
    settings = model.model_dump(exclude={"kind", "on"}, exclude_none=True)
    return ScenarioFault(kind=model.kind, on=model.on or "", settings=settings, place=problems.source.place(at))
