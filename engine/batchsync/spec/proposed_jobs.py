"""Text of the jobs.yaml of a proposed mapping, in which each guess has a comment, for the option `--from` of `init`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.spec.starters import connection_block, file_head
from batchsync.spec.yaml_text import flow_text, quoted_text, scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsync.core.job import Source
    from batchsync.core.mapping_test import Json
    from batchsync.core.proposal import Guess, Proposal
    from batchsync.core.vendor_rules import VendorRules

#: Characters that end or begin something else in a value without quotes.
_UNSAFE = (": ", " #", ", ", "[", "]", "{", "}", "\n")
#: Number of unused columns that a comment lists.
_LISTED = 40


def proposed_text(  # noqa: PLR0913 - the parts of the file
    job: str,
    source: Source,
    rules: VendorRules,
    proposal: Proposal,
    *,
    target: Mapping[str, str],
    mode: str,
    rows: Sequence[Mapping[str, Json]],
) -> str:
    """Return the text of a jobs.yaml.

    Args:
        job: Name of the job.
        source: Its source; the path is relative to the file.
        rules: Rules of the vendor.
        proposal: Proposed mapping.
        target: Keys of the target besides the connection.
        mode: Mode of the job.
        rows: Rows of tests, without what is expected of them.
    """
    connection, block = connection_block(rules.name)
    options = {"delimiter": source.delimiter} if source.delimiter != "," else {}
    described = flow_text({"path": source.path, "key": proposal.key, **options})
    lines = [
        f"  {job}:",
        f"    source: {described} # guessed: {proposal.key}: {proposal.key_note}",
        f"    target: {flow_text({'connection': connection, **target})}" + _target_note(rules, target),
        f"    mode: {mode}",
        "    record: # a leading '=' starts an SQL expression over the columns of the source",
        *_members(proposal.members, 6),
    ]
    if proposal.unused:
        shown = ", ".join(name.strip() or "(no name)" for name in proposal.unused[:_LISTED]) + (
            ", ..." if len(proposal.unused) > _LISTED else ""
        )
        lines.append(f"      # not used: {_comment(shown)}")
    if rules.modes[mode].value == "lookups":
        lines.append(f"    results: {{path: out/{job}.csv}} # or .parquet, .jsonl, or a table in a .sqlite file")
    else:
        lines.append("    on_removed: ignore # keep what is no longer in the file; or a removal mode of the vendor")
    lines.append("    # budget: {invalid: 1%, rejected: 10} # more such rows fail the run")
    if rows:
        note = "synthetic values of the form of the first rows; `batchsync test --update` writes the results"
        lines.append(f"    tests: # {note}")
    for number, row in enumerate(rows, 1):
        lines += [f"      - name: the form of row {number}", f"        given: {flow_text(dict(row))}"]
    return file_head() + block + "\njobs:\n" + "\n".join(lines) + "\n"


def _target_note(rules: VendorRules, target: Mapping[str, str]) -> str:
    """Return the comment on keys of the target that a person has to name."""
    named = [name for name in rules.target_keys if name in target and name != "schema"]
    return f" # guessed: name the {' and '.join(named)} that your account may use" if named else ""


def _members(members: Sequence[Guess], indent: int) -> Iterator[str]:
    """Yield the lines of members."""
    margin = " " * indent
    for item in members:
        note = _comment(item.note)
        if item.is_missing:
            yield f"{margin}# {item.name}: {note}"
        elif item.members and item.is_list:
            inner = ", ".join(f"{member.name}: {_value(member.value, flow=True)}" for member in item.members)
            notes = "; ".join(_comment(member.note) for member in item.members if member.note)
            yield f"{margin}{item.name}: [{{{inner}}}] # guessed: {notes}"
        elif item.members:
            yield f"{margin}{item.name}:"
            yield from _members(item.members, indent + 2)
        else:
            value = f"[{_value(item.value, flow=True)}]" if item.is_list else _value(item.value)
            yield f"{margin}{item.name}: {value} # guessed: {note}"


def _value(value: str, *, flow: bool = False) -> str:
    """Return a value: an expression without quotes where YAML reads it whole, else in double quotes."""
    if not value.startswith("="):
        return scalar_text(value)
    unsafe = _UNSAFE if flow else (": ", " #", "\n")
    return quoted_text(value) if any(part in value for part in unsafe) or value.endswith(":") else value


def _comment(text: str) -> str:
    """Return a text in one line, without characters that YAML refuses."""
    return "".join(char if char.isprintable() else "?" for char in text)
