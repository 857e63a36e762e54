"""Azurite, Microsoft's emulator of Azure Blob Storage, on loopback, and a container of its own for each test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import sys
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kit import local_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "devstoreaccount1"
#: Key of the account, the same in every Azurite: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_READY = re.compile(r"listens on (http://127\.0\.0\.1:[0-9]+)")


@contextmanager
def running() -> Iterator[str]:
    """Start the server of blobs.

    Yields:
        Its URL, as `endpoint` of a connection.

    Raises:
        ServerMissingError: If it is not installed, or does not start.
    """
    program = Path(f"{sys.prefix}-azurite") / "node_modules" / ".bin" / "azurite-blob"
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--location", ".", "--disableTelemetry"]
    with local_server.running(program, arguments, _READY) as url:
        yield f"{url}/{ACCOUNT}"


def create_container(endpoint: str, name: str) -> None:
    """Create a container, which the library of batchsync cannot."""
    headers = {"x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-ms-version": "2021-08-06"}
    named = "".join(f"{key}:{value}\n" for key, value in headers.items())
    signed = "PUT" + 12 * "\n" + named + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{name}?restype=container"
    request = urllib.request.Request(url, method="PUT", headers=headers)  # noqa: S310 - loopback
    urllib.request.urlopen(request, timeout=20).close()  # noqa: S310 - loopback
