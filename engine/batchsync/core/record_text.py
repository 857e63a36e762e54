"""Members of record schemas in words, for editors, pages and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.record_schema import Format, Kind, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.record_schema import RecordSchema

#: Description of each format, with an example.
FORMAT_TEXTS: dict[Format, str] = {
    Format.EMAIL: "e-mail address",
    Format.UUID: "UUID",
    Format.DATETIME: "UTC timestamp, 2025-03-07T16:15:11Z",
    Format.DATETIME_NO_MILLIS: "UTC timestamp to the second, 1985-12-24T00:00Z",
    Format.DATETIME_MINUTES: "UTC timestamp to the minute, 2030-12-24T00:00Z",
    Format.COUNTRY: "country code, NZ",
    Format.LANGUAGE: "language code, EN",
    Format.CURRENCY: "currency code, NZD",
    Format.IATA: "airport code, AKL",
}


def member_text(rule: Rule) -> str:
    """Return the description of a member: kind, format, values and limits, and where it is required."""
    parts = [rule.kind.value if rule.format is None else FORMAT_TEXTS[rule.format]]
    if rule.kind is Kind.ARRAY and rule.items is not None and rule.items.kind is not Kind.OBJECT:
        parts = [f"array of {rule.items.kind.value}"]
    if rule.enum:
        known = "one of" if rule.enum_severity is Severity.REFUSE else "usually (else a warning) one of"
        parts.append(f"{known} {', '.join(rule.enum)}")
    unit = "items" if rule.kind is Kind.ARRAY else "characters"
    if rule.min_length is not None:
        parts.append(f"at least {rule.min_length} {unit}")
    if rule.max_length is not None:
        parts.append(f"at most {rule.max_length} {unit}")
    if rule.pattern:
        parts.append(f"matches {rule.pattern}")
    if rule.past:
        parts.append("in the past")
    if rule.distinct:
        parts.append(f"distinct {', '.join(rule.distinct)}")
    if need := need_text(rule):
        parts.append(need)
    return "; ".join(parts)


def need_text(rule: Rule) -> str:
    """Return where a member is required; empty if it never is."""
    if "*" in rule.required_in:
        return "required"
    return f"required in {', '.join(sorted(rule.required_in))}" if rule.required_in else ""


def members(rule: Rule, path: str = "") -> Iterator[tuple[str, Rule]]:
    """Yield path and rule of each member below a rule; `[]` stands for the items of a list."""
    for name, inner in rule.fields:
        here = f"{path}.{name}" if path else name
        yield here, inner
        yield from members(inner, here)
    if rule.items is not None:
        yield from members(rule.items, f"{path}[]")
    if rule.extra is not None:
        extra = rule.extra
        limit = f"at most {extra.max_count:,} additional members"
        yield f"{path}.*" if path else "*", Rule(kind=extra.kind, pattern=extra.pattern, source=limit)


def mode_notes(schema: RecordSchema) -> Iterator[str]:
    """Yield the rules of a record schema that belong to no single member, as sentences without a full stop."""
    order = [name for name, _ in schema.root.fields]
    for mode, names in schema.fields_in.items():
        yield f"mode {mode} takes {', '.join(name for name in order if name in names)} only"
    for mode, sets in schema.any_of.items():
        forms = [" and ".join(name for name in order if name in names) for names in sets]
        yield f"{'every mode' if mode == '*' else f'mode {mode}'} needs {' or '.join(forms)}"
    for item in schema.conditions:
        modes = f" in mode {', '.join(sorted(item.modes))}" if item.modes else ""
        yield f"{item.field} {' or '.join(item.equals)} needs {', '.join(item.required)}{modes}"
    for left, right in schema.differ:
        yield f"{left} and {right} must differ"
