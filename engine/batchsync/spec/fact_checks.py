"""The key `verify:` of a fact in `facts.yaml`: how an account shows the fact. Compiled into `core.verification`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from batchsync.core.verification import Expectation, FactCheck, Probe
from batchsync.errors import SpecError
from batchsync.spec.record_spec import Model, Text
from batchsync.spec.vendor_problems import problem

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Status = Annotated[int, Field(ge=100, le=599)]


class ExpectationModel(Model):
    """What an answer is: its status, a pattern of its JSON, whether it is a table."""

    status: Status | list[Status] = Field(default_factory=list)
    pattern: Annotated[Any, Field(alias="json")] = None
    table: bool | None = None


class ProbeModel(Model):
    """A GET request, which changes nothing."""

    url: Annotated[str, Field(pattern=r"^/[^\s]*$")]
    auth: bool = True


class FactCheckModel(Model):
    """The calls of the vendor spec whose answers show the fact, or a probe; which answers, and what they must be."""

    call: Text | list[Text] = Field(default_factory=list)
    probe: ProbeModel | None = None
    when: ExpectationModel = Field(default_factory=ExpectationModel)
    expect: ExpectationModel = Field(default_factory=ExpectationModel)


def compile_fact_check(content: Any, file: Traversable, fact: str) -> FactCheck | None:
    """Return how a fact is seen; None if its `verify:` is absent.

    Args:
        content: Content of the key.
        file: File of the fact, for messages.
        fact: Id of the fact.

    Raises:
        SpecError: If the content is invalid.
    """
    if content is None:
        return None
    model, refused = None, ""
    try:
        model = FactCheckModel.model_validate(content)
    except ValidationError as error:
        refused = error.errors(include_input=False, include_url=False)[0]["msg"]
    if model is None or bool(model.call) is bool(model.probe):
        raise SpecError((problem(file, f"facts.{fact}.verify", refused or "must have either call or probe"),))
    probe = None if model.probe is None else Probe(url=model.probe.url, authenticated=model.probe.auth)
    calls = (probe.url,) if probe else tuple([model.call] if isinstance(model.call, str) else model.call)
    return FactCheck(calls=calls, when=_expectation(model.when), expect=_expectation(model.expect), probe=probe)


def _expectation(model: ExpectationModel) -> Expectation:
    statuses = (model.status,) if isinstance(model.status, int) else tuple(model.status)
    return Expectation(statuses=statuses, pattern=model.pattern, table=model.table)
