"""Names of the certificates: a client that resolves the name of a vendor to this machine reaches the mock unchanged."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import MOTORWEB, SITECORE, SitecoreClient, announced, packed, record, upload_headers

from batchsync_mocks import Running, serve

if TYPE_CHECKING:
    from pathlib import Path

NAME = "api.boxever.com"
DATA = packed(record("guest", "upsert", email="a@example.com"))


def resolve(monkeypatch: pytest.MonkeyPatch, mocks: Running, *names: str) -> None:
    """Let this process resolve names to the mock, as a hosts entry and a mock on port 443 do."""
    address, real = urlsplit(mocks.url), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host in names and port == 443:
            return real(address.hostname, address.port, *arguments, **options)
        return real(host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_client_reaches_the_mock_under_the_names_of_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "api-engage-eu.sitecorecloud.io"
    with serve([SITECORE], https=True, tls_names=[NAME, "*.sitecorecloud.io"]) as mocks:
        resolve(monkeypatch, mocks, NAME, other, "example.com")
        auth, ca = SitecoreClient(mocks).auth, str(mocks.ca)
        for host in (NAME, other):
            url = f"https://{host}/v2/batches/{uuid.uuid4()}"
            allocated = requests.put(url, json=announced(DATA), auth=auth, verify=ca, timeout=10).json()
            assert allocated["href"] == url
            href = allocated["location"]["href"]
            assert urlsplit(href).netloc == host
            assert requests.put(href, DATA, headers=upload_headers(DATA), verify=ca, timeout=10).status_code == 200
            # The control API is not reached by the name of the vendor.
            assert requests.get(f"https://{host}/_mock/clock", verify=ca, timeout=10).status_code == 403
        assert [batch["status"] for batch in mocks.batches(SITECORE)] == ["file_uploaded"] * 2
        assert requests.get(f"{mocks.url}/_mock/clock", verify=ca, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError, match=r"example\.com"):
            requests.get("https://example.com/v2/batches/inspect", auth=auth, verify=ca, timeout=10)


def test_authority_is_kept_when_names_change(tmp_path: Path) -> None:
    with serve([SITECORE], https=True, state_dir=tmp_path) as mocks:
        assert mocks.ca is not None
        kept = mocks.ca.read_bytes()
    with serve([SITECORE], https=True, state_dir=tmp_path, tls_names=[NAME]) as mocks:
        assert mocks.ca is not None
        assert mocks.ca.read_bytes() == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "a.*.com",
        "https://api.boxever.com",
        "api.boxever.com:443",
        "a b",
        "-a.com",
        "a..com",
        "ä.com",
        "a" * 64,
    ],
)
def test_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        serve([MOTORWEB], https=True, tls_names=[name])


def test_name_without_https_is_refused_in_a_single_line() -> None:
    command = [sys.executable, "-m", "batchsync_mocks", MOTORWEB, "--tls-name", NAME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "batchsync_mocks: A certificate for 'api.boxever.com' needs HTTPS; add --https.\n"
