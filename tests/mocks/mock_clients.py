"""Minimal HTTP clients of the vendors, independent of batchsync and of the implementation of the mocks."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from batchsync_mocks import Running

MOTORWEB, SITECORE = "motorweb-bdp", "sitecore-cdp"
SERVICE = "8600aa22-e4bf-4fe3-96be-7978832807a0"
GOOD_CSV = b"vin,plate,state\r\n1HGCM82633A004352,,\r\n,ABC123,ACT\r\n"


class MotorwebClient:
    """Client of the Motorweb mock; methods return raw responses."""

    def __init__(self, running: Running, prefix: str = "/batch/v1") -> None:
        self.running, self.prefix = running, prefix
        self.url = running.urls[MOTORWEB]
        self.token = self.log_in().json()["access_token"]

    def log_in(self, **changed: str) -> requests.Response:
        form = {"grant_type": "client_credentials", **self.running.credentials(MOTORWEB), **changed}
        return requests.post(f"{self.url}/auth/v1/token", data=form, timeout=10)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, f"{self.url}{self.prefix}{path}", headers=headers, timeout=10, **more)

    def create(self, reference: str = "cars", **more: Any) -> requests.Response:
        body = {"batchServiceId": SERVICE, "userBatchReference": reference, **more}
        return self.call("POST", "/batches", json=body)

    def send(self, body: bytes, reference: str = "cars", **more: Any) -> str:
        """Create a batch and upload to it; return its id."""
        made = self.create(reference, **more).json()
        assert put(made["url"], body).status_code == 200
        return str(made["batchId"])

    def status(self, batch: str) -> str:
        return str(self.call("GET", f"/batches/{batch}").json()["status"])


class SitecoreClient:
    """Client of the Sitecore mock; methods return raw responses."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.url = running.urls[SITECORE]
        key = running.credentials(SITECORE)
        self.auth = (key["client_key"], key["api_token"])

    def allocate(self, ref: str, body: object) -> requests.Response:
        return requests.put(f"{self.url}/v2/batches/{ref}", json=body, auth=self.auth, timeout=10)

    def get(self, path: str = "", **params: str) -> requests.Response:
        return requests.get(f"{self.url}/v2/batches{path}", params=params, auth=self.auth, timeout=10)

    def send(self, data: bytes) -> str:
        """Allocate a batch for the data and upload it; return the batch's ref."""
        ref = str(uuid.uuid4())
        href = self.allocate(ref, announced(data)).json()["location"]["href"]
        assert put(href, data, **upload_headers(data)).status_code == 200
        return ref

    def submit(self, *records: dict[str, Any]) -> list[dict[str, str]]:
        """Send records, let them be processed, and return the error log (empty on success)."""
        ref = self.send(packed(*records))
        self.running.advance(15)
        status = self.get(f"/inspect/{ref}").json()["status"]
        if status["code"] == "success":
            return []
        assert status["code"] == "error"
        return read_log(status["log"])


def put(url: str, data: bytes, **headers: str) -> requests.Response:
    return requests.put(url, data=data, headers=headers, timeout=10)


def packed(*records: object) -> bytes:
    return gzip.compress("\n".join(json.dumps(record) for record in records).encode(), mtime=0)


def announced(data: bytes) -> dict[str, Any]:
    return {"checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(), "size": len(data)}


def upload_headers(data: bytes) -> dict[str, str]:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"x-amz-server-side-encryption": "AES256", "Content-Md5": base64.b64encode(digest).decode()}


def read_log(url: str) -> list[dict[str, str]]:
    response = requests.get(url, timeout=10)
    assert response.status_code == 200
    assert response.content[:2] == b"\x1f\x8b"
    return [json.loads(line) for line in gzip.decompress(response.content).splitlines()]


def record(schema: str, mode: str, **value: Any) -> dict[str, Any]:
    return {"ref": str(uuid.uuid4()), "schema": schema, "mode": mode, "value": value}


def named(number: str, provider: str = "CRM") -> list[dict[str, str]]:
    return [{"provider": provider, "id": number}]


def order(reference: str = "B94TXY-1", customer: str = "1", **changed: Any) -> dict[str, Any]:
    """Return the value of a complete order with changed fields; None removes a field."""
    item = {
        "type": "FLIGHT",
        "productId": "DUB-LAS",
        "name": "flight",
        "description": "one way",
        "vendor": "AIR",
        "price": 50,
        "currencyCode": "EUR",
        "referenceId": "item-1",
    }
    value = {
        "referenceId": reference,
        "channel": "WEB",
        "pointOfSale": "myretailsite.com",
        "status": "PURCHASED",
        "orderedAt": "2025-03-07T16:15:11.000Z",
        "currencyCode": "EUR",
        "price": 50,
        "paymentType": "Cash",
        "contact": {"identifiers": named(customer)},
        "orderItems": [item],
        **changed,
    }
    return {name: content for name, content in value.items() if content is not None}
