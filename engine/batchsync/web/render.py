"""HTML of pages: templates, the filters that they use, and links."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from batchsync.report.text_format import escape_controls, format_duration, format_relative, iso, moment, pluralize, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Folders of this package.
TEMPLATES, STATIC = Path(__file__).parent / "templates", Path(__file__).parent / "static"


def environment() -> Environment:
    """Return the environment of the templates: everything is escaped, and an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "moment": moment,
        "iso": iso,
        "size": size,
        "number": lambda number: f"{number:,}",
        "counted": pluralize,
        "text": escape_controls,
        "css": lambda name: str(name).replace(" ", "_"),
        "spaced": _spaced,
        "lasted": _lasted,
    }
    made.globals |= {"link": link, "relative": format_relative}
    return made


def link(path: str, name: str = "", query: Mapping[str, object] | None = None, **more: object) -> str:
    """Return a link of the page.

    Args:
        path: Path of a page, such as `/jobs/`.
        name: Last part of the path, which is quoted.
        query: Members of the query.
        **more: Further members; None leaves one out.
    """
    members = {key: value for key, value in {**(query or {}), **more}.items() if value is not None}
    return f"{path}{quote(name, safe='')}" + (f"?{urlencode(members)}" if members else "")


def _spaced(condition: str) -> str:
    """Return the words of a condition, as in `needs attention`."""
    return "".join(f" {char.lower()}" if char.isupper() else char for char in condition).strip()


def _lasted(begin: datetime, end: datetime | None) -> str:
    """Return how long something lasted; empty if it has not ended."""
    return format_duration(max(end - begin, timedelta())) if end is not None else ""
