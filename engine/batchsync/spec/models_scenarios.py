"""Pydantic models of `scenarios:`. `compile_scenarios` checks what depends on several keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from batchsync.spec.field_types import Text
from batchsync.spec.models_source import Strict

_ROW: dict[str, Any] = {"type": "object", "additionalProperties": True}
_SOURCE: dict[str, Any] = {"anyOf": [{"type": "string"}, _ROW, {"type": "array", "items": _ROW}]}


def _unchanged(value: Any) -> Any:
    """Return the value of a field that `compile_scenarios` validates."""
    return value


Name = Text
Sources = Annotated[
    Any, PlainValidator(_unchanged), WithJsonSchema({"type": "object", "additionalProperties": _SOURCE})
]
Switches = Annotated[Any, PlainValidator(_unchanged), WithJsonSchema({"type": "object", "additionalProperties": _ROW})]
Kind = Literal[
    "refuse", "status", "throttle", "deny", "vanish", "expire", "revoke", "delay", "reset", "break_upload", "rewind",
    "lose_answer", "half_close", "reset_answer", "cut", "cut_unframed", "drip", "blank", "corrupt", "replace_answer",
]  # fmt: skip
Call = Literal["allocate", "find", "upload", "commit", "poll", "cancel", "results", "errors", "token"]
Count = Annotated[int, Field(ge=0, le=10**15)]


class FaultModel(Strict):
    """A fault of the mocks (docs/mocks.md)."""

    model_config = ConfigDict(title="Fault")

    kind: Kind = Field(title="Kind", description="What happens to the request.", examples=["throttle"])
    on: Call | None = Field(None, title="Call", description="Call that is hit; by default any.", examples=["upload"])
    nth: Annotated[int, Field(ge=1)] = Field(
        1, title="Nth", description="First of these calls that is hit, from 1.", examples=[2]
    )
    times: Count | None = Field(
        None,
        title="Times",
        description="Number of calls that are hit from then on; 0 for no limit. By default 1, with `chance` 0.",
        examples=[3],
    )
    chance: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, title="Chance", description="Probability that each of them is hit.", examples=[0.3]
    )
    status: Annotated[int, Field(ge=200, le=599)] | None = Field(
        None, title="Status", description="HTTP status of the kinds status and replace_answer.", examples=[502]
    )
    retry_after: Count | None = Field(
        None, title="Retry after", description="Seconds in a Retry-After header.", examples=[30]
    )
    seconds: Count | None = Field(
        None, title="Seconds", description="Duration of the kinds delay, drip and rewind.", examples=[5]
    )


class ExpectModel(Strict):
    """What a scenario ends with. Outcomes that are not named are not compared."""

    model_config = ConfigDict(title="Expected end")

    exit: Count = Field(0, title="Exit code", description="Exit code of the sync; 0 by default.", examples=[4])
    selected: Count | None = Field(None, title="Selected", description="Number of selected records.", examples=[10])
    unchanged: Count | None = Field(None, title="Unchanged", description="Records the target holds.", examples=[0])
    accepted: Count | None = Field(None, title="Accepted", description="Records the vendor took.", examples=[7])
    invalid: Count | None = Field(None, title="Invalid", description="Records batchsync refused.", examples=[1])
    rejected: Count | None = Field(None, title="Rejected", description="Records the vendor refused.", examples=[3])
    unknown: Count | None = Field(None, title="Unknown", description="Records of unknown outcome.", examples=[0])
    deferred: Count | None = Field(None, title="Deferred", description="Records that wait.", examples=[0])
    superseded: Count | None = Field(None, title="Superseded", description="Rows that lost.", examples=[0])


class ScenarioModel(Strict):
    """A sync of jobs against the bundled mocks, with faults, in a temporary state."""

    model_config = ConfigDict(title="Scenario")

    name: Name = Field(title="Name", description="Unique in the file.", examples=["429 on the upload"])
    jobs: list[Text] = Field([], title="Jobs", description="Jobs that run; by default all.", examples=[["guests"]])
    sources: Sources = Field(
        {},
        title="Sources",
        description="Rows, or the path of a file, by job; by default jobs read their own source.",
        examples=[{"guests": "tests/guests.csv"}],
    )
    profile: list[Text] = Field(
        [], title="Profiles", description="Fault profiles of the mocks.", examples=[["flaky", "slow"]]
    )
    faults: list[FaultModel] = Field(
        [], title="Faults", description="Faults of the mocks.", examples=[[{"kind": "throttle", "on": "upload"}]]
    )
    switches: Switches = Field(
        {},
        title="Switches",
        description="Switches of the mocks, by vendor.",
        examples=[{"sitecore-cdp": {"allocate_status": 201}}],
    )
    seed: Count = Field(0, title="Seed", description="Seed of the mocks; 0 by default.", examples=[7])
    expect: ExpectModel = Field(
        ExpectModel(), title="Expect", description="What the sync ends with.", examples=[{"exit": 4, "rejected": 3}]
    )
