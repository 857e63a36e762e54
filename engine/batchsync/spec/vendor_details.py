"""Read what is known of a vendor: its rules with their sources, the meaning of its answers, and its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ruamel.yaml.error import YAMLError

from batchsync.core.vendor_details import AnswerMeaning, KnownFact, VendorDetails
from batchsync.spec.fact_checks import compile_fact_check
from batchsync.spec.record_spec import read_model
from batchsync.spec.vendor_call_models import CallModel
from batchsync.spec.vendor_model import VendorModel
from batchsync.spec.vendor_spec import load_vendor, vendor_folder
from batchsync.spec.yaml_parser import yaml_parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from pydantic import BaseModel

#: Keys of calls that belong to a block, by which they are called.
_PARTS = frozenset({"call", "downloads", "locate"})
_FACT_KEYS = ("id", "says", "source", "sure")


def load_vendor_details(name: str) -> VendorDetails:
    """Return what is known of a vendor.

    Args:
        name: Name of a vendor; a folder if it contains `/` or `.`.

    Returns:
        Its rules, sources, statuses, answers and facts. A vendor without `facts.yaml` has no facts.

    Raises:
        UsageError: If there is no such vendor.
        SpecError: If its files are invalid.
    """
    rules = load_vendor(name)
    folder = vendor_folder(name)
    model = read_model(folder / "vendor.yaml", VendorModel)
    blocks = ("connection", "target", "modes", "file", "policy", "row_log")
    sources = {"vendor": model.source} | {block: getattr(model, block).source for block in blocks}
    return VendorDetails(
        rules=rules,
        sources=sources | {"statuses": model.statuses.get("source", "")},
        statuses={status: meaning for status, meaning in model.statuses.items() if status != "source"},
        answers=tuple(_answers(model, "")),
        facts=tuple(_facts(folder / "facts.yaml")),
        schema_sources={item: schema.root.source for item, schema in rules.schemas.items()},
    )


def _answers(model: BaseModel, name: str) -> Iterator[AnswerMeaning]:
    """Yield the meanings of the answers to all calls below a model; a call is named after the key that holds it."""
    if isinstance(model, CallModel):
        called = str(getattr(model, "call", "") or name)
        for item in model.responses:
            yield AnswerMeaning(
                call=called, status=item.status, body=item.body_contains, means=item.means.value, source=item.source
            )
        return
    for key in type(model).model_fields:
        value = getattr(model, key)
        for item in value if isinstance(value, list) else [value]:
            if hasattr(item, "model_fields_set"):
                yield from _answers(item, name if key in _PARTS and name else key)


def _facts(file: Traversable) -> Iterator[KnownFact]:
    """Yield the facts of a file; none if there is no such file, or it is of another form. A check must be valid."""
    try:
        found = yaml_parser(libyaml=False).load(file.read_text(encoding="utf-8"))
    except (OSError, YAMLError):
        return
    items = found.get("facts") if isinstance(found, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and all(item.get(key) is not None for key in _FACT_KEYS):
            text, source, certainty = (str(item[key]) for key in _FACT_KEYS[1:])
            check = compile_fact_check(item.get("verify"), file, str(item["id"]))
            yield KnownFact(id=str(item["id"]), text=text, source=source, certainty=certainty, check=check)
