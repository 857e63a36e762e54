"""Uploads to Sitecore's mock by curl and httpx, unchanged and over HTTPS, and to URLs that botocore presigned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from batchsync_mocks import Clock, Running, serve
from kit.upload_clients import SITECORE, Slot, allocated, output_of, python_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "api.boxever.com"
PRESIGN = """
import datetime, json, sys
import botocore.auth
import botocore.session
from botocore.config import Config

given = json.load(sys.stdin)
botocore.auth.get_current_datetime = lambda *_, **__: datetime.datetime.fromisoformat(given["now"])
session = botocore.session.Session()
session.set_credentials(given["key_id"], given["secret"], given["token"])
config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
client = session.create_client("s3", region_name=given["region"], endpoint_url=given["endpoint"], config=config)
parameters = {"Bucket": given["bucket"], "Key": given["key"], "ContentMD5": given["md5"]}
parameters["ServerSideEncryption"] = "AES256"
print(client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=3600))
"""
HTTPX = """
import json, sys
import httpx

given = json.load(sys.stdin)
with open(given["file"], "rb") as file, httpx.Client() as client:
    for content in (file.read(), open(given["file"], "rb")):
        headers = dict(given["headers"])
        if not isinstance(content, bytes):
            headers["Content-Length"] = str(given["size"])
        print(client.put(given["href"], content=content, headers=headers).status_code)
"""


@pytest.fixture
def mocks() -> Iterator[Running]:
    """Mocks over HTTPS under the name of the vendor, too."""
    clock = Clock("2026-03-01T12:00:00Z", frozen=True)
    with serve([SITECORE], clock=clock, https=True, tls_names=[NAME]) as running:
        yield running


@pytest.fixture
def slot(mocks: Running, tmp_path: Path) -> Slot:
    """A batch that waits for its file."""
    return allocated(mocks, tmp_path)


def curl(slot: Slot, url: str, *more: str) -> str:
    """Run curl with the authority of the mocks; return the status of the answer."""
    base = ["curl", "--silent", "--show-error", "--cacert", str(slot.mocks.ca), "--write-out", "%{http_code}"]
    return output_of([*base, "--output", "/dev/null", *more, url])


def header_options(slot: Slot, **more: str) -> list[str]:
    return [word for name, value in {**slot.headers, **more}.items() for word in ("-H", f"{name}: {value}")]


def test_curl_uploads_as_documented(slot: Slot) -> None:
    data = ["-X", "PUT", "--data-binary", f"@{slot.file}"]
    assert curl(slot, slot.href, *data, *header_options(slot, **{"Content-Type": "application/gzip"})) == "200"
    assert slot.status() == "success"


def test_curl_uploads_as_the_public_script(slot: Slot) -> None:
    assert curl(slot, slot.href, "-XPUT", "-T", str(slot.file)) == "403"
    assert curl(slot, slot.href, "-XPUT", "-T", str(slot.file), *header_options(slot)) == "200"
    assert slot.status() == "success"


def test_curl_reaches_the_mock_under_the_name_of_the_vendor(slot: Slot) -> None:
    port = urlsplit(slot.mocks.url).port
    key = slot.mocks.credentials(SITECORE)
    url = f"https://{NAME}/v2/batches/{slot.ref}"
    # As a hosts entry for a mock on port 443.
    hosts = ["--connect-to", f"{NAME}:443:127.0.0.1:{port}", "-u", f"{key['client_key']}:{key['api_token']}"]
    assert curl(slot, url, *hosts) == "200"
    assert "certificate" in failure_of_curl(slot, f"https://other.example:{port}/", f"other.example:{port}:127.0.0.1")


def failure_of_curl(slot: Slot, url: str, resolved: str) -> str:
    """Return what curl says about a certificate of another name."""
    script = 'curl --silent --show-error --cacert "$0" --resolve "$1" "$2" 2>&1 || true'
    return output_of(["bash", "-c", script, str(slot.mocks.ca), resolved, url])


def test_httpx_uploads_bytes_and_files(slot: Slot) -> None:
    given = {"file": str(slot.file), "size": slot.file.stat().st_size, "href": slot.href, "headers": slot.headers}
    printed = output_of([python_beside(), "-c", HTTPX], given, SSL_CERT_FILE=str(slot.mocks.ca))
    assert printed.split() == ["200", "200"]
    assert slot.status() == "success"


def test_botocore_presigns_the_url_of_the_mock(slot: Slot) -> None:
    vendor: Any = slot.mocks.of(SITECORE).running._context.vendors[SITECORE]
    account, (base, _, path) = vendor._account, slot.href.partition("?")[0].partition("/sitecore-batch-service-mock/")
    given = {
        "now": "2026-03-01T12:00:00",
        "key_id": account.key_id,
        "secret": account.secret.decode("ascii"),
        "token": account.token,
        "region": account.region,
        "endpoint": base,
        "bucket": "sitecore-batch-service-mock",
        "key": path,
        "md5": slot.md5,
    }
    assert output_of([python_beside(), "-c", PRESIGN], given).strip() == slot.href
    given["now"] = "2026-03-01T11:30:00"
    presigned = output_of([python_beside(), "-c", PRESIGN], given).strip()
    assert presigned != slot.href
    assert curl(slot, presigned, "-T", str(slot.file), *header_options(slot)) == "200"
    assert slot.status() == "success"
