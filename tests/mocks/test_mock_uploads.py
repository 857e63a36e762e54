"""Uploads by clients of the standard library and by requests, and to URLs that are presigned as botocore does."""

from __future__ import annotations

import http.client
import uuid
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from mock_clients import SITECORE, SitecoreClient, announced, named, packed, put, record, upload_headers
from presigned import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchsync_mocks import Running

DATA = packed(*(record("guest", "upsert", identifiers=named(str(n))) for n in range(50)))


def with_bytes(url: str, file: Path) -> int:
    return requests.put(url, data=file.read_bytes(), headers=upload_headers(DATA), timeout=10).status_code


def with_open_file(url: str, file: Path) -> int:
    with file.open("rb") as stream:
        return requests.put(url, data=stream, headers=upload_headers(DATA), timeout=10).status_code


def with_session(url: str, file: Path) -> int:
    # Headers that are not signed do not matter.
    with requests.Session() as session:
        session.headers.update({"Accept": "application/json", "Content-Type": "application/gzip"})
        return session.put(url, data=file.read_bytes(), headers=upload_headers(DATA), timeout=10).status_code


def with_http_client(url: str, file: Path, more: Mapping[str, str] = MappingProxyType({})) -> int:
    target = urlsplit(url)
    headers = {**upload_headers(DATA), "Content-Length": str(len(DATA)), **more}
    with (
        closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=10)) as connection,
        file.open("rb") as stream,
    ):
        connection.request("PUT", f"{target.path}?{target.query}", body=stream, headers=headers)
        return connection.getresponse().status


def as_urllib(url: str, file: Path) -> int:
    # What urllib.request adds. It also spells the header `Content-md5`, which is the same name.
    form = {"Content-type": "application/x-www-form-urlencoded", "Connection": "close", "Accept-Encoding": "identity"}
    return with_http_client(url, file, form)


@pytest.mark.parametrize("upload", [with_bytes, with_open_file, with_session, with_http_client, as_urllib])
@pytest.mark.parametrize("signature", ["v4", "v2"])
def test_upload_is_accepted(
    mocks: Running, sitecore: SitecoreClient, tmp_path: Path, upload: Callable[[str, Path], int], signature: str
) -> None:
    mocks.switch(SITECORE, signature=signature)
    file, ref = tmp_path / "import.json.gz", str(uuid.uuid4())
    file.write_bytes(DATA)
    assert upload(sitecore.allocate(ref, announced(DATA)).json()["location"]["href"], file) == 200
    mocks.advance(15)
    (batch,) = mocks.batches(SITECORE)
    assert (batch["status"], batch["counts"]["processed"]) == ("success", 50)


def test_presigned_form_is_that_of_the_documented_example() -> None:
    key_id, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    signer = Signer(key_id, secret, "us-east-1", "20130524T000000Z")
    assert signer.url("GET", "https://examplebucket.s3.amazonaws.com/test.txt", {}, 86400) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_url_of_an_upload_is_presigned_as_botocore_does(mocks: Running, sitecore: SitecoreClient) -> None:
    href = sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"]
    vendor: Any = mocks.of(SITECORE).running._context.vendors[SITECORE]
    account = vendor._account
    signer = Signer(account.key_id, account.secret.decode("ascii"), account.region, "20260301T120000Z", account.token)
    headers = {name.lower(): value for name, value in upload_headers(DATA).items()}
    assert signer.url("PUT", href.partition("?")[0], headers, 3600) == href
    # A URL that only the client signed, for another time and a shorter life, is as good.
    mine = replace(signer, at="20260301T115959Z").url("PUT", href.partition("?")[0], headers, 600)
    assert put(mine, DATA, **upload_headers(DATA)).status_code == 200
    mocks.advance(599)
    assert put(mine, DATA, **upload_headers(DATA)).status_code == 403
