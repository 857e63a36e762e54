"""Pydantic models of recorded exchanges (`exchanges/*.yaml`) and of facts (`facts.yaml`) of a vendor's folder."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from batchsync.core.batch import Verdict
from batchsync.spec.fact_checks import FactCheckModel
from batchsync.spec.record_spec import Model, Text

Scalar = str | int
#: Kinds of meaning; an exchange states one of them.
MEANINGS = ("slot", "status", "token", "id", "columns", "reads", "url", "absent", "accepted", "failure")


def _check_time(text: str) -> str:
    """Validate a time with its offset from UTC."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time with an offset, such as 2026-01-31T09:30:00+00:00")
    return text


Moment = Annotated[str, AfterValidator(_check_time)]


class RequestModel(Model):
    """The documented request, without authentication. `url` is a path of the API, or the absolute URL of storage.

    `parts` are those of a multipart body besides the file, by name: JSON documents and texts.
    """

    method: Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
    url: Text
    headers: dict[Text, str] = Field(default_factory=dict)
    json_body: Annotated[dict[Text, JsonValue] | None, Field(alias="json")] = None
    form: dict[Text, str] | None = None
    file: bool = False
    parts: dict[Text, JsonValue] = Field(default_factory=dict)


class ResponseModel(Model):
    """The response as the vendor documents it: a JSON document, or a text."""

    status: Annotated[int, Field(ge=100, le=599)]
    headers: dict[Text, str] = Field(default_factory=dict)
    json_body: Annotated[JsonValue, Field(alias="json")] = None
    text: str | None = None

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if ("json_body" in self.model_fields_set) == (self.text is not None):
            raise ValueError("either json or text")
        return self


class SlotModel(Model):
    """An allocation: id, URL of the upload, and when it expires; null: the response does not say."""

    id: Text
    url: str | None = None
    until: Moment | None = None


class MeaningModel(Model):
    """What the client must understand of the response."""

    slot: SlotModel | None = None
    status: Literal["running", "empty", "finished"] | None = None
    word: str | None = None
    verdict: Verdict | None = None
    token: str | None = None
    seconds: int | None = None
    id: str | None = None
    columns: list[str] | None = None
    reads: dict[Text, str | None] | None = None
    url: str | None = None
    absent: Literal[True] | None = None
    accepted: Literal[True] | None = None
    failure: Literal["did_not_happen", "unclear", "slot_gone", "permanent"] | None = None
    says: str | None = None
    retry_at: Moment | None = None

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        if len(self.model_fields_set & set(MEANINGS)) != 1:
            raise ValueError(f"one of {', '.join(MEANINGS)}")
        return self


class AdvanceModel(Model):
    """A step that advances the clock of the mock by a number of seconds."""

    advance: Annotated[float, Field(ge=0)]


class ReplayModel(Model):
    """How a mock reproduces the exchange."""

    after: list[Text | AdvanceModel]
    file: str = "nothing\n"
    changes: Annotated[dict[Text, Scalar], Field(alias="with")] = Field(default_factory=dict)
    answer: Literal["any"] | None = None


class ExchangeModel(Model):
    """A file of `exchanges/`."""

    about: Text
    source: Text
    call: Text
    settings: dict[Text, str] = Field(default_factory=dict)
    now: Moment | None = None
    given: dict[Text, Scalar | None] = Field(default_factory=dict)
    request: RequestModel
    response: ResponseModel
    meaning: MeaningModel
    replay: ReplayModel | None = None


class FactModel(Model):
    """A behaviour of the vendor. `talk` are steps of a dialog, `unseen` is why no exchange shows it."""

    id: Text
    says: Text
    source: Text
    sure: Literal["documented", "secondary", "observed", "inferred", "assumed"]
    exchanges: list[Text] = Field(default_factory=list)
    talk: list[Any] = Field(default_factory=list)
    unseen: str = ""
    verify: FactCheckModel | None = None

    @model_validator(mode="after")
    def _is_shown(self) -> Self:
        if not (self.exchanges or self.talk or self.unseen):
            raise ValueError("exchanges that show it, or unseen with the reason why none does")
        return self


class FactsModel(Model):
    """A `facts.yaml`. `states` says how to reproduce exchanges that have no `replay` of their own."""

    version: Literal[1]
    vendor: Text
    states: dict[Text, Any] = Field(default_factory=dict)
    facts: list[FactModel]
