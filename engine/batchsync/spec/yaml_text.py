"""Text of single values in jobs.yaml, as its own parser reads them back."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from batchsync.core.mapping_test import is_plain_number, number_text
from batchsync.spec.scalars import interpret_scalar

if TYPE_CHECKING:
    from batchsync.core.mapping_test import Json

#: Texts that need no quotes, in mappings and lists of both styles.
_PLAIN = re.compile(r"[^\W_](?:[\w .@/+-]*\w)?")
#: Characters that JSON keeps and YAML does not take in quotes.
_NOT_PRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
#: Width up to which a value is written in one line.
LINE_MAX = 100


def scalar_text(value: Json) -> str:
    """Return a scalar: a text without quotes where every parser reads it as a text, else in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        text = number_text(value)
        return text if is_plain_number(value) and not isinstance(interpret_scalar(text), str) else quoted_text(text)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and interpret_scalar(text) == text else quoted_text(text)


def quoted_text(text: str) -> str:
    """Return a text in double quotes; `${` is escaped, because it begins a reference."""
    quoted = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def flow_text(value: Json) -> str:
    """Return a value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(name)}: {flow_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    return scalar_text(value)


def entry_text(key: str, value: Json, indent: int) -> str:
    """Return a key with its value, in one line or, if it is long, with a line for each member or item.

    Args:
        key: The key.
        value: The value.
        indent: Number of blanks before further lines of the same mapping; the first line has none.
    """
    line = f"{scalar_text(key)}: {flow_text(value)}"
    if indent + len(line) <= LINE_MAX or not isinstance(value, dict | list) or not value:
        return line
    margin = "\n" + " " * (indent + 2)
    if isinstance(value, dict):
        members = (entry_text(name, item, indent + 2) for name, item in value.items())
        return f"{scalar_text(key)}:{margin}" + margin.join(members)
    return f"{scalar_text(key)}:{margin}" + margin.join(f"- {item_text(item, indent + 4)}" for item in value)


def item_text(value: Json, indent: int) -> str:
    """Return an item of a list, in one line or, if it is long, with a line for each member.

    Args:
        value: The item.
        indent: Number of blanks before further lines.
    """
    line = flow_text(value)
    if indent + len(line) <= LINE_MAX or not isinstance(value, dict) or not value:
        return line
    return f"\n{' ' * indent}".join(entry_text(name, item, indent) for name, item in value.items())
