"""An entry of the log, as a line of text or of JSON.

`FIELDS` documents the members of a JSON line: each is present in every line, null where it does not apply.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import iso

if TYPE_CHECKING:
    from datetime import datetime

#: Members of a line of JSON, with their meaning.
FIELDS = {
    "time": "when it was written, ISO 8601 in UTC",
    "level": "`info`, `warning` or `error`",
    "event": "kind of the event, as in NDJSON; `message` for a message of the command, `problem` for a problem of a "
    "file, `failed` for the error that ends the command",
    "job": "name of the job",
    "run": "id of the run",
    "batch": "id of the batch",
    "message": "the text, as in the log lines of `text`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An entry of the log.

    Attributes:
        at: When it was written, timezone-aware, in UTC.
        level: A level of the module `logging`.
        event: Kind of the event.
        message: The text.
        job: Name of the job; empty if it is about none.
        run: Id of the run; empty if it is about none.
        batch: Id of the batch; empty if it is about none.
    """

    at: datetime
    level: int
    event: str
    message: str
    job: str = ""
    run: str = ""
    batch: str = ""

    def text(self) -> str:
        """Return the entry as a line of text: time, level, text."""
        return f"{iso(self.at)} {logging.getLevelName(self.level):<7} {self.message}"

    def json(self) -> str:
        """Return the entry as a line of JSON with the members of `FIELDS`."""
        members = {
            "time": iso(self.at),
            "level": logging.getLevelName(self.level).lower(),
            "event": self.event,
            "job": self.job or None,
            "run": self.run or None,
            "batch": self.batch or None,
            "message": self.message,
        }
        return json.dumps(members, separators=(",", ":"))
