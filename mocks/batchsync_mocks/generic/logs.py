"""Row logs, results and unprocessed rows of the generic mock, in the layout of the vendor spec."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchsync_mocks.generic import outcomes, rows
from batchsync_mocks.generic.templates import parts_of, put, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from batchsync_mocks.generic.outcomes import RowOutcome
    from batchsync_mocks.generic.rows import Row
    from batchsync_mocks.generic.spec import Download, Spec


#: `message` of a row log in CSV whose columns are not documented.
REST = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Form of a document.

    Attributes:
        columns: Further columns of results that exchanges show, with their values.
        document: The JSON document of an exchange; None: there is none.
        skip: Number of rows on the pages before this one of a row log in JSON.
        page_size: Maximum number of rows on the page; None: the log has no pages.
        next_page: URL of the next page, or its cursor; pages by number have none.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    document: Any = None
    skip: int = 0
    page_size: int | None = None
    next_page: str = ""


def content(download: Download, spec: Spec, upload: Path, outcome_file: Path, form: Form) -> tuple[bytes, str]:
    """Return a document about the rows of a batch, with its content type.

    Args:
        download: The document.
        spec: The vendor.
        upload: The upload.
        outcome_file: Outcomes of its rows.
        form: What exchanges show of the document.
    """
    found = list(zip(rows.read(upload, spec.file), outcomes.read(outcome_file), strict=True))
    columns = list(dict.fromkeys(name for row, _ in found for name in row.columns))
    if download.kind == "results":
        further = {name: value for name, value in form.columns.items() if name not in columns}
        accepted = [[*_values(row, columns), *further.values()] for row, item in found if _is_answered(item)]
        return _table(spec, [*columns, *further], accepted)
    if download.kind == "unprocessed":
        return _table(spec, columns, [_values(row, columns) for row, item in found if item.listed == "unprocessed"])
    logged = [(row, item) for row, item in found if item.listed == "log" and _is_logged(item, spec)]
    if spec.row_log.errors["format"] == "csv" or download.save_as.endswith(".csv"):
        return _table(spec, *_csv_log(spec, columns, logged))
    page = logged if form.page_size is None else logged[form.skip : form.skip + form.page_size]
    document = form.document
    if download.pages.get("next"):
        is_last = form.skip + len(page) >= len(logged)
        document = put(document, download.pages["next"], None if is_last else form.next_page)
    if download.pages.get("total"):
        document = put(document, download.pages["total"], len(logged))
    return _json_log(spec, page, document)


def _is_answered(item: RowOutcome) -> bool:
    """Return whether results contain a row."""
    return item.outcome == "accepted" and item.listed == "log"


def _is_logged(item: RowOutcome, spec: Spec) -> bool:
    """Return whether the row log has a line about a row."""
    return item.outcome == "rejected" or spec.row_log.lists_accepted


def _values(row: Row, columns: Sequence[str]) -> list[str]:
    """Return the values of a row in the columns of a table."""
    return [row.columns.get(name, "") for name in columns]


def _csv_log(
    spec: Spec, columns: list[str], logged: Iterable[tuple[Row, RowOutcome]]
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a row log in CSV."""
    errors = spec.row_log.errors
    if spec.row_log.joined_by == "inputs":
        own = ["reason"] if errors["message"] == REST else [errors["code"], errors["message"]]
        names = list(dict.fromkeys((*columns, *own)))
        lines = [{**row.columns, **_code_and_message(spec, item)} for row, item in logged]
    else:
        lines = [_members(spec, row, item) for row, item in logged]
        names = list(dict.fromkeys((errors["ref"], errors["code"], errors["message"], *(errors.get("only") or ()))))
    return names, [[str(line.get(name, "")) for name in names] for line in lines]


def _json_log(spec: Spec, logged: Sequence[tuple[Row, RowOutcome]], document: Any) -> tuple[bytes, str]:
    """Return a row log in JSON or JSON lines; the document of an exchange gives its other members."""
    errors = spec.row_log.errors
    # `items` is a path whether or not it begins with a slash.
    at = "/" + str(errors.get("items") or "").lstrip("/")
    shown = value_at(document, at if at != "/" else "")
    more = shown[0] if isinstance(shown, list) and shown and isinstance(shown[0], dict) else {}
    if spec.row_log.joined_by == "inputs":
        items: list[Any] = [
            {**more, errors["inputs"]: row.columns, errors["errors"]: [_code_and_message(spec, item)]}
            for row, item in logged
        ]
    else:
        items = [_nested(_members(spec, row, item), more) for row, item in logged]
    if errors["format"] == "jsonl":
        body = "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in items).encode()
        return (gzip.compress(body, mtime=0) if spec.file.gzip else body), "application/x-ndjson"
    return json.dumps(put(document, at if at != "/" else "", items)).encode(), "application/json"


def _nested(members: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
    """Return an object with values at pointers or under names, and the other members of an item of an exchange."""
    document: Any = copy.deepcopy(dict(more))
    for name, value in members.items():
        document = put(document, name, value) if name.startswith("/") else {**document, name: value}
    return document


def _members(spec: Spec, row: Row, item: RowOutcome) -> dict[str, Any]:
    """Return the members of a line that names a row by its reference, number or key."""
    errors = spec.row_log.errors
    is_accepted = item.outcome == "accepted"
    only = {
        name: "mock-note" if is_accepted else values[0] for name, values in (errors.get("only") or {}).items() if values
    }
    return {**only, errors["ref"]: reference(spec, row), **_code_and_message(spec, item)}


def _code_and_message(spec: Spec, item: RowOutcome) -> dict[str, str]:
    """Return code and message of a row, which may be in the same member."""
    errors = spec.row_log.errors
    code = item.code or next(iter(errors.get("ignored_codes") or ()), "")
    message = item.message or "Processed"
    if errors["message"] == REST:
        # No column of such a log is documented.
        return {"reason": f"{code}: {message}"}
    if until := errors.get("code_until"):
        combined = f"{code}{until}{message}"
        return (
            {errors["code"]: combined}
            if errors["code"] == errors["message"]
            else {
                errors["code"]: combined,
                errors["message"]: message,
            }
        )
    return {errors["message"]: message, errors["code"]: code}


def reference(spec: Spec, row: Row) -> Any:
    """Return what a row log names a row by."""
    log = spec.row_log
    if log.joined_by == "row":
        name: Any = row.number - 1 + log.first_row
    elif log.joined_by == "key":
        name = _key(spec, row)
    else:
        name = row.named.get("ref", "")
        name = int(name) if spec.file.numbered and name.isdigit() else name
    pattern = log.errors.get("ref_pattern")
    return matching_text(pattern, str(name)) if pattern else name


def _key(spec: Spec, row: Row) -> str:
    """Return the key of a row: the member of the name in the row log, else the first required, else the first one."""
    members = row.columns
    schema = spec.schemas.get(row.named.get("schema") or spec.default_schema) or [{}]
    required = [name for name, rule in (schema[0].get("fields") or {}).items() if rule.get("required_in")]
    names = [*parts_of(spec.row_log.errors["ref"])[-1:], *required, *members]
    return next((members[name] for name in names if members.get(name)), "")


def matching_text(pattern: str, name: str) -> str:
    """Return a text that a pattern with one group matches, with a name in the group; the name if none is found."""
    text = re.sub(r"(?<!\\)\((?!\?)(?:[^()\\]|\\.|\[[^\]]*\])*\)", "\0", pattern.strip("^$"))
    text = re.sub(r"\(\?:[^()]*\)[?*]|\.[*?]+\??|\\[dws][*?]", "", text)
    text = re.sub(r"\\d\+?|\[0-9\]\+?", "0", text)
    text = re.sub(r"\\(\W)", r"\1", text).replace("\0", name)
    found = re.search(pattern, text)
    return text if found is not None and found[1] == name else name


def _table(spec: Spec, header: Iterable[str], lines: Iterable[Iterable[str]]) -> tuple[bytes, str]:
    """Return a CSV file in the form of the vendor, with its content type."""
    form = spec.row_log.tables
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=form.get("delimiter", ",")).writerows(_all(header, lines))
    body = text.getvalue().encode(form.get("encoding", "utf-8"), "replace")
    if not form.get("zip"):
        return body, "text/csv"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("rows.csv"), body)
    return archive.getvalue(), "application/zip"


def _all(header: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[Iterable[str]]:
    """Yield header and lines of a table."""
    yield header
    yield from lines
