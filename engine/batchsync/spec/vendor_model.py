"""The shape of `vendor.yaml`: one strict model for each of its blocks, each with the source of its facts.

It does not know the values that the engine works with; `vendor_spec` compiles these models into them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lading.core.batch import Verdict  # noqa: TC001 - pydantic reads it at run time
from lading.core.policy import InDoubt  # noqa: TC001 - the same
from lading.core.vendor_rules import AuthKind, Door, FileFormat, LogFormat, Means, Silence
from lading.spec.record_spec import Model, Text
from lading.spec.vendor_problems import BASE_URL, CALL_URL, DURATION, NAME, POINTER, SAVE_AS

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HOST = re.compile(r"(?:[a-z0-9-]+|[a-z0-9-]*\*[a-z0-9-]*)(?:\.(?:[a-z0-9-]+|\*))+")

Duration = Annotated[str, Field(pattern=DURATION, description="for instance 5s, 15m, 48h, 31d")]
Pointer = Annotated[str, Field(pattern=POINTER, description="JSON pointer, RFC 6901")]
Pointers = Annotated[list[Pointer], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]


def seconds(duration: str) -> timedelta:
    """Return the duration that a text such as `15m` stands for."""
    return timedelta(seconds=int(duration[:-1]) * _UNITS[duration[-1]])


def _is_host(pattern: str) -> str:
    """Demand a host name in lower case in which `*` stands for a part of one label, and never for the last two."""
    if not _HOST.fullmatch(pattern) or "*" in ".".join(pattern.split(".")[-2:]):
        raise ValueError("a host name, lower case; * stands for (a part of) one label, not for the last two labels")
    return pattern


Host = Annotated[str, AfterValidator(_is_host)]


class Noted(Model):
    """A block of facts and where they are documented: a document's short key, or `assumed`."""

    source: Text


class CaseModel(Noted):
    """What one status means, where HTTP's habits do not say it. `says` is a text in the body, in any letter case."""

    status: Annotated[int, Field(ge=200, le=599)]
    means: Means
    says: str = ""


class CallModel(Noted):
    """One request. `url` is a path on the API or a placeholder that holds an absolute URL."""

    method: Literal["GET", "PUT", "POST", "DELETE"]
    url: Annotated[str, Field(pattern=CALL_URL)]
    door: Door = Door.API
    headers: dict[Text, Text] = Field(default_factory=dict)
    json_body: Annotated[dict[Text, str | int | bool] | None, Field(alias="json")] = None
    form: dict[Text, Text] | None = None
    sends_file: bool = False
    cases: list[CaseModel] = Field(default_factory=list)
    read: dict[Text, Pointers] = Field(default_factory=dict)


class AuthModel(Noted):
    """How a connection proves who it is."""

    kind: AuthKind
    headers: dict[Text, Text] = Field(default_factory=dict)
    user: str = ""
    password: str = ""
    token: CallModel | None = None
    renew_before: Duration = "60s"
    lifetime: Duration = "5m"


class LimitsModel(Noted):
    """How long we wait, and how many bytes we take."""

    connect: Duration = "10s"
    read: Duration = "60s"
    whole: Duration = "30m"
    answer_max: Count = 4 * 2**20
    file_max: Count = 2 * 2**30
    expanded_max: Count = 8 * 2**30


class ConnectionModel(Noted):
    """Where the vendor is, and who we are there. `account` names the credential that tells accounts apart."""

    base_url: Annotated[str, Field(pattern=BASE_URL)] | None = None
    api_hosts: Annotated[list[Host], Field(min_length=1)]
    storage_hosts: list[Host]
    credentials: Annotated[list[Text], Field(min_length=1)]
    account: Text
    auth: AuthModel | None = None
    limits: LimitsModel | None = None


class TargetModel(Noted):
    """What stands in a job's `target` beside its connection. Keys `beside` do not tell one target from another."""

    keys: dict[Text, Literal["required", "optional"]]
    beside: list[Text] = Field(default_factory=list)
    default_schema: str | None = None


class ModesModel(Noted):
    """The modes of jobs.yaml; `lookup` says that answers come back for the rows sent."""

    send: Annotated[list[Text], Field(min_length=1)]
    removal: list[Text]
    lookup: bool


class FileModel(Noted):
    """How a batch file must look."""

    format: FileFormat
    gzip: bool
    suffix: Text
    bytes_max: Count | None = None
    rows_max: Count | None = None
    envelope: bool = False


class PolicyModel(Noted):
    """The vendor's habits in time and doubt."""

    allocation_in_doubt: InDoubt
    allocate_repeatable: bool = False
    ask_after: Duration
    poll_first: Duration
    poll_most: Duration
    poll_growth: Annotated[float, Field(ge=1, le=10)]
    deadline: Duration
    in_flight_max: Count


class ErrorLayoutModel(Model):
    """Where refused rows stand in the vendor's error file."""

    format: LogFormat
    code: Text
    message: Text
    ref: str = ""
    items: str = ""
    inputs: str = ""
    errors: str = ""
    ignored_codes: list[Text] = Field(default_factory=list)
    retry_codes: list[Text] = Field(default_factory=list)
    gone_codes: list[Text] = Field(default_factory=list)


class RowLogModel(Noted):
    """How the vendor says what became of each row."""

    joined_by: Literal["ref", "inputs"]
    silence: Silence
    results: bool
    errors: ErrorLayoutModel


class ChoiceModel(Noted):
    """How a word in the target becomes an id."""

    call: CallModel
    target: Text
    param: Text
    ids: Pointers
    names: Pointers


class DescribeModel(Noted):
    """What to ask before anything is prepared."""

    check: CallModel | None = None
    choice: ChoiceModel | None = None
    template: CallModel | None = None
    params: dict[Text, Text] = Field(default_factory=dict)


class DownloadModel(Model):
    """A document that is kept on our disk."""

    save_as: Annotated[str, Field(pattern=SAVE_AS)]
    call: CallModel
    locate: CallModel | None = None


class ResultsModel(DownloadModel, Noted):
    """The answers. `again` says when to ask again while they are not ready; `counter` is where the poll counts them."""

    again: Duration = "60s"
    counter: Pointer | None = None


class ErrorsModel(Noted):
    """The refused rows: after which verdicts to ask for them, and by which ways."""

    verdicts: Annotated[list[Verdict], Field(min_length=1)]
    counters: list[Pointer] = Field(default_factory=list)
    ways: Annotated[list[DownloadModel], Field(min_length=1)]


class VendorModel(Noted):
    """A whole `vendor.yaml`. The blocks that say how to speak HTTP are all there, or none of them is."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=NAME)]
    title: Text
    connection: ConnectionModel
    target: TargetModel
    modes: ModesModel
    file: FileModel
    policy: PolicyModel
    row_log: RowLogModel
    words: dict[Text, Text]
    describe: DescribeModel | None = None
    allocate: CallModel | None = None
    find: CallModel | None = None
    upload: CallModel | None = None
    poll: CallModel | None = None
    cancel: CallModel | None = None
    results: ResultsModel | None = None
    errors: ErrorsModel | None = None
    lost_after: Annotated[int, Field(ge=0, le=100)] = 2
