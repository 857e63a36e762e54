"""Check every file of a vendor's folder: `vendor.yaml`, record schemas, exchanges and facts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import CallName, call_at
from batchsync.core.vendor_exchange import FolderFindings, RecordedExchange, Replay
from batchsync.errors import Problem, SpecError
from batchsync.spec.exchange_model import AdvanceModel, ExchangeModel, FactsModel
from batchsync.spec.record_spec import load_record_schema, read_model
from batchsync.spec.vendor_model import VendorModel
from batchsync.spec.vendor_problems import problem
from batchsync.spec.vendor_spec import load_vendor, vendor_folder
from batchsync.spec.vendor_statements import assumed_facts, assumptions_in, unstated_of
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable

    from batchsync.core.vendor_rules import VendorRules


def load_folder(name: str) -> tuple[VendorRules, FolderFindings]:
    """Load every file of a vendor's folder.

    Args:
        name: Name of a vendor; a folder if it contains `/` or `.`.

    Returns:
        The rules of the vendor, and what the files next to its `vendor.yaml` say.

    Raises:
        UsageError: If there is no such vendor.
        SpecError: If a file is invalid; contains the problems of all files.
    """
    problems: list[Problem] = []
    rules = None
    try:
        rules = load_vendor(name)
    except SpecError as error:
        problems += error.problems
    folder = vendor_folder(name)
    files, facts_file = _yaml_files(folder / "exchanges"), folder / "facts.yaml"
    problems += _schema_problems(folder / "records")
    models = dict(_models(files, problems))
    facts = None
    if facts_file.is_file():
        try:
            facts = read_model(facts_file, FactsModel)
        except SpecError as error:
            problems += error.problems
    named = {file.name.removesuffix(".yaml"): model for file, model in models.items()}
    known = {file.name.removesuffix(".yaml") for file in files}
    for file, model in models.items():
        problems += _exchange_problems(file, model, known, name, rules)
    if facts is not None:
        problems += _facts_problems(facts_file, facts, known, rules)
    if problems or rules is None:
        unique = dict.fromkeys(problems)
        raise SpecError(tuple(sorted(unique, key=lambda item: (item.file, item.line, item.column))))
    vendor = read_model(folder / "vendor.yaml", VendorModel)
    assumed = [item for file in _statement_files(folder) for item in assumptions_in(file)]
    assumed += assumed_facts(facts_file, facts.facts) if facts else ()
    return rules, FolderFindings(
        exchanges=tuple(_compiled(file, item) for file, item in models.items()),
        facts=len(facts.facts) if facts else 0,
        assumptions=tuple(assumed),
        unstated=tuple(
            unstated_of(vendor, frozenset(item.call for item in named.values()), has_facts=facts is not None)
        ),
    )


def load_exchanges(name: str) -> tuple[RecordedExchange, ...]:
    """Return the recorded exchanges of a vendor by name.

    Args:
        name: Name of a vendor; a folder if it contains `/` or `.`.

    Raises:
        UsageError: If there is no such vendor.
        SpecError: If a file is invalid.
    """
    files = _yaml_files(vendor_folder(name) / "exchanges")
    return tuple(_compiled(file, read_model(file, ExchangeModel)) for file in files)


def _yaml_files(folder: Traversable) -> list[Traversable]:
    """Return the YAML files of a folder by name; none if there is no such folder."""
    found = [file for file in folder.iterdir() if file.name.endswith(".yaml")] if folder.is_dir() else []
    return sorted(found, key=lambda file: file.name)


def _statement_files(folder: Traversable) -> list[Traversable]:
    """Return the files whose sources may be assumptions."""
    return [folder / "vendor.yaml", *_yaml_files(folder / "records"), *_yaml_files(folder / "exchanges")]


def _models(files: Iterable[Traversable], problems: list[Problem]) -> Iterator[tuple[Traversable, ExchangeModel]]:
    """Yield each valid exchange with its file; the problems of the others are added to a list."""
    for file in files:
        try:
            yield file, read_model(file, ExchangeModel)
        except SpecError as error:
            problems += error.problems


def _schema_problems(folder: Traversable) -> Iterator[Problem]:
    """Yield the problems of record schemas, also if `vendor.yaml` is invalid."""
    for file in _yaml_files(folder):
        try:
            load_record_schema(file)
        except SpecError as error:
            yield from error.problems


def _exchange_problems(
    file: Traversable, model: ExchangeModel, known: set[str], name: str, rules: VendorRules | None
) -> Iterator[Problem]:
    """Yield what is wrong in an exchange of valid types.

    Args:
        file: Its file.
        model: The exchange.
        known: Names of all exchanges.
        name: Name or folder of the vendor.
        rules: Rules of the vendor; None if they are invalid.
    """
    steps = model.replay.after if model.replay else []
    for number, step in enumerate(steps):
        if isinstance(step, str) and step not in known:
            hint = names_hint(step, known, "exchanges")
            yield problem(file, f"replay.after.{number}", f'no exchange "{step}"', suggestion=hint)
    if rules is None or rules.dialect is None:
        return
    settings = {item.name for item in rules.settings}
    if unknown := [key for key in model.settings if key not in settings]:
        yield problem(file, f"settings.{unknown[0]}", "no setting of the vendor", ", ".join(sorted(settings)))
        return
    dialect = load_vendor(name, model.settings).dialect if model.settings else rules.dialect
    if dialect is not None and call_at(dialect, model.call) is None:
        listed = ", ".join(call for call in CallName if call in dialect.calls)
        expected = f"{listed}, or a path of vendor.yaml such as errors.downloads.0.call"
        yield problem(file, "call", f'vendor.yaml has no call "{model.call}"', expected)


def _facts_problems(
    file: Traversable, model: FactsModel, known: set[str], rules: VendorRules | None
) -> Iterator[Problem]:
    """Yield what is wrong in facts of valid types."""
    if rules is not None and model.vendor != rules.name:
        yield problem(file, "vendor", "is another vendor", rules.name)
    seen: set[str] = set()
    for number, fact in enumerate(model.facts):
        if fact.id in seen:
            yield problem(file, f"facts.{number}.id", f'a second fact "{fact.id}"')
        seen.add(fact.id)
        for item, exchange in enumerate(fact.exchanges):
            if exchange not in known:
                hint = names_hint(exchange, known, "exchanges")
                yield problem(file, f"facts.{number}.exchanges.{item}", f'no exchange "{exchange}"', suggestion=hint)


def _compiled(file: Traversable, model: ExchangeModel) -> RecordedExchange:
    """Return an exchange as a value of `core`."""
    return RecordedExchange(
        name=file.name.removesuffix(".yaml"),
        file=str(file),
        about=model.about,
        source=model.source,
        call=model.call,
        settings=dict(model.settings),
        now=datetime.fromisoformat(model.now) if model.now else None,
        given=dict(model.given),
        request=model.request.model_dump(by_alias=True, exclude_unset=True),
        response=model.response.model_dump(by_alias=True, exclude_unset=True),
        meaning=model.meaning.model_dump(exclude_unset=True),
        replay=_replay(model),
    )


def _replay(model: ExchangeModel) -> Replay | None:
    """Return how an exchange is reproduced, if its file says so."""
    if (found := model.replay) is None:
        return None
    return Replay(
        after=tuple(step.advance if isinstance(step, AdvanceModel) else step for step in found.after),
        file=found.file,
        changes=dict(found.changes),
        any_answer=found.answer == "any",
    )
