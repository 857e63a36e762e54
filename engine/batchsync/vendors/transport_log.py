"""Redaction of the log of urllib3, which quotes URLs and headers."""

from __future__ import annotations

import logging
import re

from batchsync.vendors.allowed_urls import redacted


class _RedactingFilter(logging.Filter):
    """Logging filter that removes query strings from urllib3's messages, whatever the level.

    Warnings, which Python prints where no logging is configured, lose all their arguments: one of them quotes response
    headers, and a gateway may have copied request headers there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record in place; always return true, so that the record is kept."""
        own = record.levelno >= logging.WARNING and bool(record.args)
        message = re.sub(r"%\S", "...", str(record.msg)) if own else record.getMessage()
        # urllib3 logs host and path as separate words, so the path's query has no host in front of it.
        words = [part.split("?", 1)[0] + "?<redacted>" if "?" in part else part for part in message.split(" ")]
        record.msg, record.args, record.exc_info, record.exc_text = redacted(" ".join(words)), (), None, None
        return True


def redact_transport_log() -> None:
    """Add the filter to the loggers of urllib3, once."""
    for name in ("connectionpool", "connection", "response", "poolmanager", "util.retry", "util.ssl_", "util.url"):
        logger = logging.getLogger(f"urllib3.{name}")
        if not any(isinstance(item, _RedactingFilter) for item in logger.filters):
            logger.addFilter(_RedactingFilter())
