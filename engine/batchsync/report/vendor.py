"""Report of `batchsync vendors`: what a vendor takes, and what its answers mean. docs/vendors holds the same."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.record_text import member_text, members, mode_notes
from batchsync.core.vendor_rules import DefaultOutcome, JoinedBy
from batchsync.core.vendor_settings import Takes
from batchsync.report.text_format import Style, escape_controls, format_duration, markdown, markdown_table, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.vendor_details import VendorDetails
    from batchsync.core.vendor_settings import Setting

_WIDTH = 80
#: Width of the first column of the text output.
_NAMES = 22
_NAMED_BY = {
    JoinedBy.REF: "by our reference in each record",
    JoinedBy.ROW: "by its number in the batch file",
    JoinedBy.KEY: "by its key",
    JoinedBy.INPUTS: "by the values of its columns",
}
_MEANINGS = {
    "running": "the vendor works on it: asked again",
    "empty": "the vendor has no file yet",
    "processed": "finished; the row log says which rows were accepted",
    "mixed": "finished, with rejected rows in the row log",
    "refused": "the whole file was refused: no row was applied",
    "cancelled": "cancelled before it was processed: no row was applied",
    "expired": "expired at the vendor: its results are gone",
}
_FORMS = {Takes.MEMBER_SETS: "lists of members", Takes.ATTRIBUTES: "a file"}
_ANSWERS = {
    "ok": "applied",
    "expired": "the signed URL has expired: a new one is requested",
    "absent": "there is no such object",
    "not_applied": "not applied: sent again later",
    "outcome_unknown": "it may have been applied: the vendor is asked before anything is repeated",
    "permanent": "refused for good: the batch needs attention",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: sentences, then rows of cells under a header."""

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorsReport:
    """The available vendors."""

    vendors: tuple[VendorDetails, ...]

    def text(self, paint: Style) -> str:
        """Return a paragraph per vendor."""
        parts = []
        for item in self.vendors:
            rules = item.rules
            parts.append(f"{paint(rules.name, 'head')}: {escape_controls(rules.title)}")
            parts += _listed("record schemas", ", ".join(rules.schemas)) + _listed("modes", ", ".join(rules.modes))
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return a table."""
        rows = [
            (item.rules.name, item.rules.title, ", ".join(item.rules.schemas), ", ".join(item.rules.modes))
            for item in self.vendors
        ]
        header = ("vendor", "title", "record schemas", "modes")
        return f"### batchsync vendors\n\n{markdown_table(header, rows, right=frozenset())}"

    def data(self) -> dict[str, object]:
        """Return names, record schemas and modes as a JSON-compatible dictionary."""
        return {"vendors": [_summary(item) for item in self.vendors]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per vendor."""
        for item in self.vendors:
            yield {"event": "vendor"} | _summary(item)


def _summary(item: VendorDetails) -> dict[str, object]:
    rules = item.rules
    return {"name": rules.name, "title": rules.title, "schemas": [*rules.schemas], "modes": [*rules.modes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorReport:
    """A vendor, or one of its record schemas.

    Attributes:
        details: What is known of the vendor.
        schema: Name of the record schema; empty for the whole vendor.
    """

    details: VendorDetails
    schema: str = ""

    def sections(self) -> Iterator[Section]:
        """Yield the parts of the report."""
        rules = self.details.rules
        if self.schema:
            yield _record(self.details, rules.schemas[self.schema])
            return
        yield Section("Connection", tuple(self._connection()))
        if rules.settings:
            note = "Keys of a connection, where accounts differ. The rules below are those of a connection with none."
            header = ("setting", "value", "means", "source")
            yield Section("Settings", (note,), header, tuple(self._settings()))
        yield Section("Modes", (self._source("modes"),), ("mode", "sends", "record schemas"), tuple(self._modes()))
        for schema in rules.schemas.values():
            yield _record(self.details, schema)
        yield Section("Limits", tuple(self._limits()))
        statuses = tuple((name, word, _MEANINGS.get(word, "")) for name, word in self.details.statuses.items())
        yield Section("Statuses", (self._source("statuses"),), ("vendor status", "means", "what follows"), statuses)
        yield Section("Row outcomes", tuple(self._row_log()))
        answers = tuple(
            (
                item.call,
                f"{item.status}{f' with {item.body}' if item.body else ''}",
                _ANSWERS[item.means],
                item.source,
            )
            for item in self.details.answers
        )
        note = "Any other 4xx is refused for good; 408, 429 and 5xx are asked about or repeated."
        yield Section("Answers to requests", (note,), ("request", "answer", "means", "source"), answers)

    def text(self, paint: Style) -> str:
        """Return the parts with lines of at most 80 columns, without the facts."""
        rules = self.details.rules
        lines = [f"{paint(rules.name, 'head')}: {escape_controls(rules.title)}"]
        for section in self.sections():
            lines += ["", paint(section.title, "head")]
            for sentence in filter(None, section.sentences):
                lines += textwrap.wrap(escape_controls(sentence), _WIDTH, initial_indent="  ", subsequent_indent="  ")
            for first, *others in section.rows:
                lines += _listed(first, "; ".join(filter(None, others)))
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the page of the vendor, with its facts; or that of the record schema."""
        rules = self.details.rules
        lines = [f"### {rules.name}: {markdown(rules.title)}"]
        for section in self.sections():
            lines += ["", f"#### {section.title}", ""]
            lines += [f"- {markdown(sentence)}" for sentence in filter(None, section.sentences)]
            if section.rows:
                lines += ["", markdown_table(section.header, section.rows, right=frozenset())]
        if self.details.facts and not self.schema:
            rows = [(item.text, item.source, item.certainty) for item in self.details.facts]
            table = markdown_table(("behaviour", "source", "certainty"), rows, right=frozenset())
            lines += ["", "#### Known behaviour", "", table]
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """Return the vendor as a JSON-compatible dictionary."""
        details, rules = self.details, self.details.rules
        chosen = [rules.schemas[self.schema]] if self.schema else [*rules.schemas.values()]
        return {
            "name": rules.name,
            "title": rules.title,
            "credentials": [*rules.credentials],
            "target": dict(rules.target_keys),
            "modes": {mode: sends.value for mode, sends in rules.modes.items()},
            "schemas": [_schema_data(details, schema) for schema in chosen],
            "settings": [_setting_data(item) for item in rules.settings],
            "statuses": dict(details.statuses),
            "facts": len(details.facts),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per member of a record schema."""
        rules = self.details.rules
        for name in [self.schema] if self.schema else rules.schemas:
            for path, rule in members(rules.schemas[name].root):
                yield {
                    "event": "member",
                    "vendor": rules.name,
                    "schema": name,
                    "member": path,
                    "rule": member_text(rule),
                }

    def _source(self, block: str) -> str:
        source = self.details.sources.get(block, "")
        return f"Source: {source}." if source else ""

    def _connection(self) -> Iterator[str]:
        rules = self.details.rules
        yield f"Credentials: {', '.join(rules.credentials)}; {rules.account_credential} identifies the account."
        yield f"Base URL: {rules.default_base_url or 'none by default; ' + ', '.join(rules.api_hosts)}."
        yield f"Storage: {', '.join(rules.storage_hosts) or 'none'}."
        keys = [f"{name} ({'required' if required else 'optional'})" for name, required in rules.target_keys.items()]
        default = f"; schema is {rules.default_schema} by default" if rules.default_schema else ""
        yield f"Target: connection (required), {', '.join(keys)}{default}."
        yield self._source("connection")

    def _settings(self) -> Iterator[tuple[str, ...]]:
        for setting in self.details.rules.settings:
            for item in setting.values:
                default = " (default)" if item.value == setting.default else ""
                yield setting.name, f"{item.value}{default}", item.meaning, setting.source
            if not setting.values:
                needs = "".join(f"; needs {name}: {value}" for name, value in setting.needs.items())
                yield setting.name, _FORMS[setting.takes], f"{setting.meaning}{needs}", setting.source

    def _modes(self) -> Iterator[tuple[str, ...]]:
        rules = self.details.rules
        for mode, sends in rules.modes.items():
            notes = [sends.value]
            notes += ["members that are left out keep their values"] if mode in rules.keeps_absent else []
            notes += ["a person is erased for good"] if mode in rules.erases else []
            names = [name for name, schema in rules.schemas.items() if mode in schema.modes]
            yield mode, ", ".join(notes), ", ".join(names)

    def _limits(self) -> Iterator[str]:
        file, policy = self.details.rules.file, self.details.rules.policy
        largest = [f"{size(file.bytes_max)}{' compressed' if file.gzip else ''}"] if file.bytes_max else []
        largest += [f"{file.rows_max:,} rows"] if file.rows_max else []
        form = f"{file.format.value}{' with gzip' if file.gzip else ''}"
        limit = f"at most {' and '.join(largest)}" if largest else "of any size, as far as documented"
        yield f"Batch file: {form}, {limit}. {self._source('file')}"
        yield f"At most {policy.in_flight_max} batches wait for a verdict at a time."
        polls = f"every {format_duration(policy.poll_first)}"
        if policy.poll_max != policy.poll_first:
            polls += f", growing to {format_duration(policy.poll_max)}"
        yield f"The vendor is asked {polls}, for at most {format_duration(policy.deadline)}. {self._source('policy')}"

    def _row_log(self) -> Iterator[str]:
        log = self.details.rules.row_log
        by = _NAMED_BY[log.joined_by]
        is_accepted = log.default_outcome is DefaultOutcome.ACCEPTED
        yield f"A rejected row is found {by}; a row that is not listed is {'accepted' if is_accepted else 'unknown'}."
        for name, meaning in (
            ("ignored_codes", "are no errors"),
            ("retry_codes", "may be sent again unchanged"),
            ("already_absent_codes", "say that there was nothing to remove, which counts as accepted"),
        ):
            if codes := getattr(log.errors, name):
                yield f"Codes {', '.join(codes)} {meaning}."
        yield self._source("row_log")


def _record(details: VendorDetails, schema: RecordSchema) -> Section:
    """Return the section of a record schema."""
    rows = tuple((path, member_text(rule), rule.source) for path, rule in members(schema.root))
    source = details.schema_sources.get(schema.name, "")
    notes = (f"Modes: {', '.join(schema.modes)}.", *(f"{note}." for note in mode_notes(schema)))
    return Section(
        f"Record {schema.name}", (*notes, f"Source: {source}." if source else ""), ("member", "rule", "source"), rows
    )


def _setting_data(setting: Setting) -> dict[str, object]:
    return {
        "name": setting.name,
        "title": setting.title,
        "default": setting.default or None,
        "takes": setting.takes.value,
        "meaning": setting.meaning,
        "values": {item.value: item.meaning for item in setting.values},
        "source": setting.source,
    }


def _schema_data(details: VendorDetails, schema: RecordSchema) -> dict[str, object]:
    rows = [
        {
            "member": path,
            "kind": rule.kind.value,
            "format": rule.format.value if rule.format else None,
            "required_in": sorted(rule.required_in),
            "values": [*rule.enum],
            "rule": member_text(rule),
            "source": rule.source,
        }
        for path, rule in members(schema.root)
    ]
    return {
        "name": schema.name,
        "modes": [*schema.modes],
        "notes": [*mode_notes(schema)],
        "members": rows,
        "source": details.schema_sources.get(schema.name, ""),
    }


def _listed(name: str, text: str) -> list[str]:
    """Return a name and its text as lines of at most 80 columns, the text next to the name where there is room."""
    name, text = escape_controls(name), escape_controls(text)
    indent = " " * (_NAMES + 4)
    if len(name) > _NAMES:
        return [f"  {name}", *textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)]
    first = f"  {name:<{_NAMES}}  "
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=indent) or [first.rstrip()]
