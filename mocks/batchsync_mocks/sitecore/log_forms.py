"""Forms in which the Sitecore mock returns an error log, as set by the switch `log_form`."""

from __future__ import annotations

import json

#: What Windows tools write in front of UTF-8.
_MARK = b"\xef\xbb\xbf"


def log_in_form(lines: bytes, form: str) -> bytes:
    """Return a log of JSON lines in another form: `array`, `bom` or `padded`."""
    match form:
        case "array":
            return json.dumps([json.loads(line) for line in lines.splitlines()], separators=(",", ":")).encode()
        case "bom":
            return _MARK + lines
        case _:
            entries = [json.loads(line) for line in lines.splitlines()]
            return b"".join(
                json.dumps(item | {"ref": f" {item['ref']} "}, separators=(",", ":")).encode() + b"\n"
                for item in entries
            )
