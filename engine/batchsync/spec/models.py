"""Pydantic models of jobs.yaml, one per block. The JSON Schema for editors is generated from them.

Rules of vendors are checked by `compile_connection` and `compile_job`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema

from batchsync.core.executor_choice import ExecutorChoice
from batchsync.spec import field_types as types
from batchsync.spec.models_alerts import AlertsModel
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.models_database import DatabaseModel, kind_of_connection
from batchsync.spec.models_executor import Executor
from batchsync.spec.models_run import BudgetModel, GuardsModel, ScheduleModel
from batchsync.spec.models_scenarios import ExpectModel, FaultModel, ScenarioModel
from batchsync.spec.models_source import (
    ColumnModel,
    DbtModel,
    DuplicatesModel,
    FreshnessModel,
    JoinModel,
    ReadSinceModel,
    SourceModel,
    Strict,
    value_or_map,
)
from batchsync.spec.models_state import BaselineModel, RetentionModel, StateModel
from batchsync.spec.models_storage import StorageModel
from batchsync.spec.models_suppress import SuppressModel
from batchsync.spec.models_tests import MappingTestModel

#: Records are compiled from the YAML tree by `compile_record`; `json_schema` adds the schema of their values.
Record = Annotated[Any, PlainValidator(lambda value: value), WithJsonSchema({"type": "object", "minProperties": 1})]


#: Keys that are resolved before the file is validated, see `include` and `merge`.
FileNames = Annotated[
    Any,
    PlainValidator(lambda value: value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]
Defaults = Annotated[Any, PlainValidator(lambda value: value), WithJsonSchema({"type": "object"})]
Environments = Annotated[
    Any,
    PlainValidator(lambda value: value),
    WithJsonSchema({"type": "object", "propertyNames": {"pattern": types.NAME_PATTERN}, "minProperties": 1}),
]


class TargetModel(Strict):
    """Where records are sent. Further keys are defined by the vendor spec."""

    model_config = ConfigDict(
        title="Target", extra="allow", json_schema_extra={"additionalProperties": {"type": "string"}}
    )
    __pydantic_extra__: dict[str, types.Text]

    connection: types.Text = Field(title="Connection", description="An entry of `connections`.", examples=["sitecore"])


class SinceModel(Strict):
    """Rows that are new or changed since the last run, by a column."""

    model_config = ConfigDict(title="Send since")

    since: types.Text = Field(
        title="Column",
        description="Numbers, or dates that begin with the year. Rows below the watermark (the greatest value up to "
        "which all rows are delivered) are unchanged if the baseline has their key; other rows are compared with it, "
        "as are all rows of a job with joins or each:, and a row that won against another one of its key.",
        examples=["updated_at"],
    )


class RemovalModel(Strict):
    """What to send for a key that is no longer in the source."""

    model_config = ConfigDict(title="Removal")

    mode: types.Text = Field(title="Mode", description="A removal mode of the vendor.", examples=["delete"])
    record: Record = Field(
        title="Record",
        description="Record to send. It must use all key columns and may use no other columns.",
        examples=[{"identifiers": [{"provider": "CRM", "id": "=CustomerKey"}]}],
    )


class ResultsModel(Strict):
    """Where the results of a lookup are written."""

    model_config = ConfigDict(title="Results")

    path: types.Text = Field(
        title="File",
        description="A file ending in .csv, .parquet, .jsonl, .db or .sqlite.",
        examples=["out/checks.csv"],
    )
    connection: types.Text | None = Field(
        None,
        title="Connection",
        description="Object storage of `connections` that the file is written to, instead of this machine.",
        examples=["lake"],
    )
    format: Literal["csv", "parquet", "jsonl", "sqlite"] | None = Field(
        None, title="Format", description="Format of the file; by default from its suffix.", examples=["csv"]
    )
    table: types.Text | None = Field(None, title="Table", description="Table of a SQLite file.", examples=["checks"])
    on_removed: Literal["keep", "remove", "mark"] = Field(
        "keep",
        title="On removed",
        description="Answers of keys that are no longer in the source: keep, remove (guarded; a key that returns is "
        "looked up again), or mark with the time in the column removed_at.",
        examples=["mark"],
    )


class JobModel(Strict):
    """A job: rows of a source become records of a target."""

    model_config = ConfigDict(title="Job")

    source: SourceModel = Field(
        title="Source",
        description="Where rows are read from.",
        examples=[{"path": "data/customers.csv", "key": "CustomerKey"}],
    )
    target: TargetModel = Field(
        title="Target", description="Where records are sent.", examples=[{"connection": "sitecore", "schema": "guest"}]
    )
    mode: types.Text = Field(
        title="Mode",
        description="What the vendor does with a record; lookup returns results.",
        examples=["upsert", "lookup"],
    )
    record: Record = Field(
        title="Record",
        description="Record of a row. A leading = starts an expression over its columns; == text is the literal text.",
        examples=[{"guestType": "customer", "email": "=lower(EmailAddress)"}],
    )
    send: Annotated[
        Annotated[Literal["all", "changed"], Tag("value")] | Annotated[SinceModel, Tag("map")],
        Discriminator(value_or_map),
    ] = Field(
        "changed",
        title="Send",
        description="Which rows are sent: all, changed (compared with the baseline), or {since: column}.",
        examples=["changed", {"since": "updated_at"}],
    )
    on_removed: Annotated[
        Annotated[types.Text, Tag("value")] | Annotated[RemovalModel, Tag("map")], Discriminator(value_or_map)
    ] = Field(
        "ignore",
        title="On removed",
        description="What to do with keys that are no longer in the source: ignore, or a removal mode of the vendor.",
        examples=["ignore", "delete"],
    )
    suppress: SuppressModel | None = Field(
        None,
        title="Suppress",
        description="List of persons to whom nothing is sent, read when the job is planned and before each upload.",
        examples=[{"path": "data/opt-outs.csv", "key": "email"}],
    )
    results: ResultsModel | None = Field(
        None,
        title="Results",
        description="Where the results of a lookup are written: the key, then the vendor's columns.",
        examples=[{"path": "out/checks.csv"}],
    )
    schedule: ScheduleModel | None = Field(
        None,
        title="Schedule",
        description="When `batchsync serve` runs the job.",
        examples=[{"cron": "0 2 * * *", "timezone": "Pacific/Auckland"}, {"every": "15m"}],
    )
    guards: GuardsModel = Field(
        GuardsModel(),
        title="Guards",
        description="Limits beyond which a run awaits approval.",
        examples=[{"max_remove": "5%", "max_change": "30%", "min_rows": 1000}],
    )
    budget: BudgetModel = Field(
        BudgetModel(),
        title="Budget",
        description="How many records may fail before the run does; none by default.",
        examples=[{"invalid": "2%", "rejected": 1}],
    )
    on_null: Literal["leave_out", "clear"] = Field(
        "leave_out",
        title="On null",
        description="Values that are empty in the source: leave_out (what the target holds stays), or clear, where the "
        "vendor documents how.",
        examples=["leave_out"],
    )
    allow_unknown: bool = Field(
        default=False,
        title="Allow unknown members",
        description="Whether the record may have members that the record schema of the vendor lacks; they are sent as "
        "they are. Attributes that the connection's attributes file lacks are refused nevertheless.",
        examples=[True],
    )
    renamed_from: types.FormerNames | None = Field(
        None,
        title="Renamed from",
        description="Former name or names of the job, whose open batches and baseline it takes over. [] for a job that "
        "has none, although it sends to the target of a job that was taken out.",
        examples=["customers", []],
    )
    depends_on: list[types.Text] = Field(
        [],
        title="Depends on",
        description="Jobs whose latest run must be settled first.",
        examples=[["vehicle-checks"]],
    )
    tags: types.Tags = Field(
        (),
        title="Tags",
        description="Names by which commands select jobs: `batchsync sync tag:nightly`.",
        examples=[["nightly"]],
    )
    suspend: bool = Field(
        default=False,
        title="Suspend",
        description="Whether no run begins, unless a command names the job. Open batches are followed to their end.",
        examples=[True],
    )
    compression: Literal["fast", "smaller"] = Field(
        "fast",
        title="Compression",
        description="Compression of batch files: fast, or smaller files.",
        examples=["smaller"],
    )
    tests: list[MappingTestModel] = Field(
        [],
        title="Tests",
        description="Tests of the mapping, which `batchsync test` runs: given rows, and the expected record or reason.",
        examples=[[{"name": "lower case", "given": {"Email": "A@EXAMPLE.COM"}, "expect": {"email": "a@example.com"}}]],
    )
    alerts: list[types.Text] | None = Field(
        None,
        title="Alerts",
        description="Channels of the job's alerts, whatever jobs the channels select; [] for none.",
        examples=[["ops"], []],
    )
    baseline: BaselineModel = Field(
        BaselineModel(),
        title="Baseline",
        description="What is kept of each record that the target holds.",
        examples=[{"keep": "members"}],
    )


_JOBS = {
    "guests": {
        "source": {"path": "data/customers.csv", "key": "CustomerKey"},
        "target": {"connection": "sitecore", "schema": "guest"},
        "mode": "upsert",
        "record": {"email": "=lower(EmailAddress)"},
    }
}


class DocumentModel(Strict):
    """A complete jobs.yaml."""

    model_config = ConfigDict(title="jobs.yaml of batchsync")

    version: types.Version = Field(title="Version", description="Version of this format: 1.", examples=[1])
    connections: dict[
        str,
        Annotated[
            Annotated[ConnectionModel, Tag("vendor")]
            | Annotated[DatabaseModel, Tag("database")]
            | Annotated[StorageModel, Tag("storage")],
            Discriminator(kind_of_connection),
        ],
    ] = Field(
        title="Connections",
        description="Vendor accounts, and databases and storage that sources read, by name.",
        examples=[
            {"cars": {"vendor": "motorweb-bdp", "credentials": {"client_id": "${ID}", "client_secret": "${SECRET}"}}}
        ],
    )
    jobs: dict[str, JobModel] = Field(title="Jobs", description="Jobs by name.", examples=[_JOBS])
    scenarios: list[ScenarioModel] = Field(
        [],
        title="Scenarios",
        description="Runs against the bundled mocks, with faults, which `batchsync test` plays.",
        examples=[[{"name": "429 on the upload", "faults": [{"kind": "throttle", "on": "upload"}]}]],
    )
    state: StateModel = Field(
        StateModel(required=False), title="State folder", description="The state folder.", examples=[{"required": True}]
    )
    alerts: AlertsModel = Field(
        default_factory=AlertsModel,
        title="Alerts",
        description="Where alerts are sent when jobs fail, wait, are late, and recover.",
        examples=[{"channels": {"ops": {"webhook": "slack", "url": "${SLACK_WEBHOOK}"}}}],
    )
    retention: RetentionModel = Field(
        default_factory=RetentionModel,
        title="Retention periods",
        description="How long what is no longer needed is kept in the state folder.",
        examples=[{"rejects": "30d", "runs": "400d", "batch_files": "0d"}],
    )
    include: FileNames | None = Field(
        None,
        title="Include",
        description="Further files of jobs: paths or patterns relative to this file. They may have connections, jobs, "
        "defaults and include; relative paths of sources start at the folder of the main file.",
        examples=["jobs/*.yaml", ["connections.yaml", "jobs/*.yaml"]],
    )
    defaults: Defaults | None = Field(
        None,
        title="Defaults",
        description="Keys of every job of this file and of those that it includes, which have no such key of their "
        "own. The blocks source, target, record, guards, budget and results are merged key by key, one level deep.",
        examples=[{"guards": {"max_remove": "5%"}, "tags": ["crm"]}],
    )
    environments: Environments | None = Field(
        None,
        title="Environments",
        description="Overrides by environment, one of which --env or BATCHSYNC_ENV chooses: connections and jobs by "
        "name, merged as defaults are; state, retention, alerts, threads, memory and executor as a whole.",
        examples=[{"test": {"connections": {"sitecore": {"base_url": "https://api.example.com"}}}, "prod": {}}],
    )
    threads: Annotated[int, Field(ge=1, le=256, strict=True)] | None = Field(
        None,
        title="Threads",
        description="Threads that prepare records; by default one per core. BATCHSYNC_THREADS overrides it.",
        examples=[4],
    )
    memory: Literal["small", "normal"] = Field(
        "normal",
        title="Memory",
        description="small uses one thread and less memory; batch files are the same. BATCHSYNC_MEMORY overrides it.",
        examples=["small"],
    )
    executor: Executor = Field(
        ExecutorChoice(),
        title="Executor",
        description="Where records are prepared: threads (the default); {processes: N}; {dask: local}, also with "
        "workers: N; {dask: cluster}, whose address is a setting; or {NAME: options} of an installed package. "
        "docs/executors.md has more. Batch files are the same.",
        examples=[{"processes": 4}, {"dask": "local"}],
    )


#: Model by path below a job, to list valid keys. `*` is any index or name.
MODELS: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    (("source",), SourceModel),
    (("source", "dbt"), DbtModel),
    (("source", "join", "*"), JoinModel),
    (("source", "join", "*", "dbt"), DbtModel),
    (("source", "duplicates"), DuplicatesModel),
    (("source", "freshness"), FreshnessModel),
    (("source", "since"), ReadSinceModel),
    (("source", "columns", "*"), ColumnModel),
    (("target",), TargetModel),
    (("send",), SinceModel),
    (("on_removed",), RemovalModel),
    (("results",), ResultsModel),
    (("schedule",), ScheduleModel),
    (("guards",), GuardsModel),
    (("budget",), BudgetModel),
    (("tests", "*"), MappingTestModel),
    (("scenarios", "*"), ScenarioModel),
    (("scenarios", "*", "faults", "*"), FaultModel),
    (("scenarios", "*", "expect"), ExpectModel),
    (("baseline",), BaselineModel),
    (("alerts",), AlertsModel),
)
