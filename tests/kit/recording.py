"""What a vendor saw of a run, and what the commands printed."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.deployment import Deployment


@dataclass
class Recording:
    """What one vendor saw, and what the commands printed.

    Attributes:
        deployment: The deployment; its mocks hold the ledger.
        requests: Requests with method, path and time, in order.
        exchanges: The same with headers, status and answer headers.
        printed: Output of commands, by name.
        files: Uploaded files as received.
        other: Number of requests before the connection was set to the other way of the pages.
    """

    deployment: Deployment
    requests: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    printed: dict[str, Any] = field(default_factory=dict)
    files: list[bytes] = field(default_factory=list)
    other: int = 0

    def read(self) -> None:
        """Take what the mocks recorded."""
        mocks = self.deployment.mocks
        self.requests = mocks.requests()
        self.exchanges = [json.loads(line) for line in mocks.transcript().splitlines()]
        self.files = [file.read_bytes() for file in sorted(mocks.state_dir.glob("*/uploads/*"))]

    def paths(self, method: str, text: str) -> list[str]:
        """Return the paths of requests of a method that contain a text."""
        return [item["path"] for item in self.requests if item["method"] == method and text in item["path"]]

    def exchange(self, pattern: str) -> dict[str, Any]:
        """Return the first exchange whose request line matches a pattern."""
        return next(item for item in self.exchanges if re.search(pattern, item["request"]))

    def records(self, schema: str) -> list[dict[str, Any]]:
        """Return the records of a schema as the vendor received them."""
        lines = [line for data in self.files for line in gzip.decompress(data).splitlines()]
        return [record for record in map(json.loads, lines) if record["schema"] == schema]
