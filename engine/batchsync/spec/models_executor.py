"""The type of `executor:` in jobs.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from batchsync.core.executor_choice import DASK, PROCESSES, THREADS, ExecutorChoice
from batchsync.util.plugins import EXECUTORS, plugin_names
from batchsync.util.suggestions import one_of, quoted

WORKERS_MAX = 256
_OWN = ("threads", "{processes: 4}", "{dask: local}", "{dask: cluster}")
_COUNT = f"a whole number from 1 to {WORKERS_MAX}"
_ADDRESS = "cluster, and the address in the variable BATCHSYNC_DASK_ADDRESS"


def _invalid(message: str, expected: str) -> PydanticCustomError:
    # Braces would be parsed as placeholders, so both texts are passed as context.
    return PydanticCustomError("batchsync", "{message}", {"message": message, "expected": expected})


def _executor(value: Any) -> ExecutorChoice:
    """Return the executor that a value of the file chooses.

    Raises:
        PydanticCustomError: If it chooses none.
    """
    if value == THREADS or isinstance(value, ExecutorChoice):
        return ExecutorChoice() if value == THREADS else value
    forms = one_of([*_OWN, *(f"{{{name}: {{...}}}}" for name in plugin_names(EXECUTORS))])
    if not isinstance(value, dict) or not value:
        raise _invalid("not an executor", forms)
    if PROCESSES in value:
        _refuse_others(value, (PROCESSES,))
        return ExecutorChoice(kind=PROCESSES, workers=_count(value[PROCESSES], PROCESSES))
    if DASK in value:
        return _dask(value)
    kind, options = next(iter(value.items()))
    if kind not in plugin_names(EXECUTORS):
        raise _invalid(f"no installed package has the executor {quoted(str(kind))}", forms)
    _refuse_others(value, (kind,))
    if not isinstance(options, dict):
        raise _invalid(f"{quoted(kind)} is not a mapping", f"options of the executor, or {{{kind}: {{}}}} for none")
    return ExecutorChoice(kind=kind, options=options)


def _dask(value: dict[str, Any]) -> ExecutorChoice:
    """Return Dask, local or of a cluster.

    Raises:
        PydanticCustomError: If it is neither.
    """
    place, workers = value[DASK], value.get("workers")
    if isinstance(place, str) and ":" in place:
        # Otherwise, an edit of the file could send rows to any machine.
        raise _invalid("the address of a Dask cluster is a setting of the machine", _ADDRESS)
    if place not in ("local", "cluster"):
        raise _invalid(f"{quoted(DASK)} is neither local nor a cluster", "local or cluster")
    _refuse_others(value, (DASK, "workers") if place == "local" else (DASK,))
    count = None if workers is None else _count(workers, "workers")
    return ExecutorChoice(kind=DASK, cluster=place == "cluster", workers=count)


def _refuse_others(value: dict[str, Any], known: tuple[str, ...]) -> None:
    others = [str(name) for name in value if name not in known]
    if others:
        raise _invalid(f"unknown key {quoted(others[0])}", f"only {one_of(known)}")


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= WORKERS_MAX:
        raise _invalid(f"{quoted(name)} is not a number of processes", _COUNT)
    return value


def _number(title: str, description: str) -> dict[str, Any]:
    return {"title": title, "description": description, "type": "integer", "minimum": 1, "maximum": WORKERS_MAX}


def _single(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": [required], "properties": properties}


_PROCESSES_SCHEMA = _single({PROCESSES: _number("Processes", "Number of worker processes.")}, PROCESSES)
_LOCAL_SCHEMA = _single(
    {
        DASK: {"title": "Dask", "description": "Worker processes of Dask on this machine.", "const": "local"},
        "workers": _number("Workers", "Number of worker processes; by default one per core."),
    },
    DASK,
)
_CLUSTER_SCHEMA = _single(
    {DASK: {"title": "Dask", "description": "The cluster at BATCHSYNC_DASK_ADDRESS.", "const": "cluster"}}, DASK
)
_INSTALLED_SCHEMA = {
    "description": "Executor of an installed package, with its options.",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "propertyNames": {"not": {"enum": [PROCESSES, DASK]}},
    "additionalProperties": {"type": "object"},
}

Executor = Annotated[
    ExecutorChoice,
    PlainValidator(_executor),
    WithJsonSchema(
        {"anyOf": [{"const": THREADS}, _PROCESSES_SCHEMA, _LOCAL_SCHEMA, _CLUSTER_SCHEMA, _INSTALLED_SCHEMA]}
    ),
]
