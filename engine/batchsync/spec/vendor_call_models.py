"""Pydantic models of the calls and downloads of a `vendor.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue

from batchsync.core.vendor_calls import AnswerForm, CallName, Endpoint, ResponseClass
from batchsync.spec.record_spec import Model, Text
from batchsync.spec.vendor_problems import CALL_URL, DURATION, PARAMETER, POINTER, SAVE_AS

Duration = Annotated[str, Field(pattern=DURATION, description="for example 5s, 15m, 48h, 31d")]
Pointer = Annotated[str, Field(pattern=POINTER, description="JSON pointer, RFC 6901")]
Pointers = Annotated[list[Pointer], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]


class Documented(Model):
    """A block of facts with their source: the short key of a document, or `assumed`."""

    source: Text


class ResponseModel(Documented):
    """Meaning of an HTTP status where it differs from the default. `body_contains` is case-insensitive."""

    status: Annotated[int, Field(ge=200, le=599)]
    means: ResponseClass
    body_contains: str = ""


class ListItemModel(Model):
    """The item of a list in a response that is about the batch: that whose value at a pointer equals a template."""

    items: Pointer
    at: Pointer
    equals: Text


class PartModel(Model):
    """A part of a multipart/form-data body: a JSON document, a text, or the batch file.

    `fields` stands for parts of text: the fields that allocate reads as `fields`, such as those of a signed form.
    """

    name: Text | None = None
    json_body: Annotated[dict[Text, JsonValue] | None, Field(alias="json")] = None
    text: str | None = None
    file: bool = False
    filename: str = ""
    type: str = ""
    fields: bool = False


class CallModel(Documented):
    """A request. `url` is a path of the API, or a placeholder for a URL of an earlier response.

    `item` selects the object that the pointers of `read` apply to, in a response that lists several batches.
    `parts` make the body of a call that sends the file multipart/form-data; one of them is the file.
    `answer` is the form of a successful response: JSON where something is read; else, for a call about a batch, nothing
    or a document in JSON or XML.
    """

    method: Literal["GET", "PUT", "POST", "PATCH", "DELETE"]
    url: Annotated[str, Field(pattern=CALL_URL)]
    endpoint: Endpoint = Endpoint.API
    headers: dict[Text, Text] = Field(default_factory=dict)
    json_body: Annotated[dict[Text, JsonValue] | None, Field(alias="json")] = None
    form: dict[Text, Text] | None = None
    sends_file: bool = False
    responses: list[ResponseModel] = Field(default_factory=list)
    read: dict[Text, Pointers] = Field(default_factory=dict)
    item: ListItemModel | None = None
    parts: list[PartModel] = Field(default_factory=list)
    answer: AnswerForm | None = None


class BatchCallModel(CallModel):
    """A call about a batch; without `call: commit`, the vendor processes a file as soon as it is uploaded.

    Without `call: allocate` the upload is the only request of a delivery, and its response names the batch.
    """

    call: CallName


def _one_or_several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class PagesModel(Model):
    """Further pages of a JSON document: `next` is where the URL of the next page is, or its cursor, sent as `param`.

    Without `next`: `offset` is the query parameter with the number of the first item, or `page` that of the page.
    """

    next: Annotated[str, Field(pattern=POINTER)] = ""
    param: str = ""
    offset: Annotated[str, Field(pattern=PARAMETER)] = ""
    page: Annotated[str, Field(pattern=PARAMETER)] = ""
    limit: Annotated[str, Field(pattern=PARAMETER)] = ""
    size: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    first: Literal[0, 1] = 0
    items: Annotated[str, Field(pattern=POINTER)] = ""
    total: Annotated[str, Field(pattern=POINTER)] = ""


class DownloadModel(Model):
    """A document that is downloaded to a file.

    `locate` is one call, or several in a row, each of which may use what those before it have read, as `{found.NAME}`.
    """

    save_as: Annotated[str, Field(pattern=SAVE_AS)]
    call: CallModel
    locate: Annotated[
        list[CallModel],
        BeforeValidator(_one_or_several, json_schema_input_type=CallModel | list[CallModel]),
        Field(min_length=1),
    ] = Field(default_factory=list)
    pages: PagesModel | None = None
