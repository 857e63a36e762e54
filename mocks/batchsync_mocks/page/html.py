"""Pieces of HTML of the status page. All texts are escaped here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Characters of a text that a cell shows.
SHOWN = 400


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that was made here, and is not escaped again."""

    html: str


def text(value: object) -> str:
    """Return a value as escaped text of limited length; characters that HTML cannot contain are replaced."""
    full = str(value)
    shown = full if len(full) <= SHOWN else f"{full[:SHOWN]}… ({len(full) - SHOWN} more characters)"
    return escape("".join(letter if _is_visible(letter) else "\ufffd" for letter in shown))


def _is_visible(letter: str) -> bool:
    """Return whether a character is shown as it is: no control character, mark of direction or half of a pair."""
    return letter.isprintable() or letter in "\n\t" or category(letter) == "Zs"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], placeholder: str) -> str:
    """Return a table, or a placeholder if it has no rows.

    Args:
        columns: Names of the columns.
        rows: Cells by row: texts, or `Markup`.
        placeholder: Text for no rows.
    """
    filled = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    if not filled:
        return f'<p class="quiet">{text(placeholder)}</p>'
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{filled}</tbody></table></div>'


def button(label: str, path: str, body: Mapping[str, object] | None = None, *, method: str = "POST") -> str:
    """Return a button that sends a JSON body to a path below `/_mock/`."""
    content = escape(json.dumps(body or {}))
    attributes = f'data-method="{method}" data-path="{escape(path)}" data-body="{content}"'
    return f'<button type="button" {attributes}>{text(label)}</button>'


def long(value: object, kind: str = "") -> Markup:
    """Return a text whose lines are not too short, coloured by its kind if there is one: `good`, `bad` or `open`."""
    return Markup(f'<div class="long {kind}">{text(value)}</div>' if value else "")


def unbroken(value: object, kind: str = "") -> Markup:
    """Return a short text that stays on one line, coloured by its kind if there is one."""
    return Markup(f'<span class="unbroken {kind}">{text(value)}</span>')


def _cell(cell: object) -> str:
    """Return the HTML of a cell."""
    return cell.html if isinstance(cell, Markup) else text(cell)
