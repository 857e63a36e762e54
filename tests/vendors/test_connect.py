"""Connection to vendors: credentials, tokens, certificates, lookup of services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, TARGETS, Delivery, requests_to
from vendor_kit import MOTORWEB, SITECORE, MockedClock

import batchsync_mocks
from batchsync.errors import PermanentError, RetryableError, UnavailableError, UsageError
from batchsync.ports import Network, Running
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.connect import Connector, connect
from batchsync_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.vendors.client import HttpVendor
    from batchsync_mocks.faults import Kind

    Open = Callable[..., HttpVendor]


def test_revoked_token_is_renewed_once(open_vendor: Open, mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    allocation = delivery.upload()
    before = len(requests_to(mocks, "/token"))
    mocks.revoke_tokens(MOTORWEB)
    assert isinstance(delivery.vendor.poll(allocation), Running)
    assert isinstance(delivery.vendor.poll(allocation), Running)
    assert (before, len(requests_to(mocks, "/token"))) == (1, 2)


def test_refused_new_token_ends_after_two_requests(open_vendor: Open, mocks: batchsync_mocks.Running) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/batch-services", status=401, times=0))
    with pytest.raises(PermanentError, match="credentials"):
        vendor.describe(TARGETS[MOTORWEB])
    assert len(requests_to(mocks, "/batch-services")) == 2


@pytest.mark.parametrize("kind", ["lose_answer", "reset", "cut", "refuse"])
def test_failed_token_request_is_retryable(kind: Kind, open_vendor: Open, mocks: batchsync_mocks.Running) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind=kind, vendor=MOTORWEB, path="/token"))
    with pytest.raises(RetryableError):
        vendor.describe(TARGETS[MOTORWEB])
    assert requests_to(mocks, "/batch-services") == []


@BOTH
def test_wrong_credentials_are_refused_and_not_shown(name: str, open_vendor: Open) -> None:
    wrong = dict.fromkeys(load_vendor(name).credentials, "not-the-right-words")
    with pytest.raises(PermanentError) as raised:
        open_vendor(name, wrong).describe(TARGETS[name])
    assert "401" in raised.value.reason
    assert "not-the-right-words" not in raised.value.reason


def test_unknown_service_is_refused_with_list_of_services(open_vendor: Open) -> None:
    with pytest.raises(PermanentError, match=r"Available: .*Vehicle ID WOVR Batch"):
        open_vendor(MOTORWEB).describe({"service": "Boat Check"})


def test_service_is_found_by_id(open_vendor: Open) -> None:
    vendor = open_vendor(MOTORWEB)
    by_name = vendor.describe(TARGETS[MOTORWEB]).params["service_id"]
    assert vendor.describe({"service": by_name.upper()}).params["service_id"] == by_name


@pytest.mark.parametrize("status", [403, 404, 405])
def test_missing_template_is_ignored(status: int, open_vendor: Open, mocks: batchsync_mocks.Running) -> None:
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/template", status=status))
    facts = open_vendor(MOTORWEB).describe(TARGETS[MOTORWEB])
    assert facts.columns is None
    assert facts.params["service_id"]


def test_https_requires_trusted_certificate(tmp_path: Path) -> None:
    with batchsync_mocks.serve([SITECORE], state_dir=tmp_path / "mocks", https=True) as mocks:
        opened = [
            connect(
                load_vendor(SITECORE),
                base_url=mocks.urls[SITECORE],
                credentials=mocks.credentials(SITECORE),
                ca_bundle=bundle,
                clock=MockedClock(),
                user_agent="batchsync tests",
            )
            for bundle in (None, str(mocks.ca))
        ]
        with pytest.raises(RetryableError, match="certificate"):
            opened[0].describe(TARGETS[SITECORE])
        Delivery(opened[1], SITECORE, tmp_path).upload()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example",
        "http://api-engage-eu.sitecorecloud.io",
        "api-engage-eu.sitecorecloud.io",
        "",
        "https://a?b",
    ],
)
def test_base_url_of_other_host_is_refused(base_url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        connect(
            load_vendor(SITECORE),
            base_url=base_url,
            credentials={"client_key": "a", "api_token": "b"},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="batchsync tests",
        )


def test_missing_credential_is_named() -> None:
    with pytest.raises(UnavailableError, match="api_token"):
        connect(
            load_vendor(SITECORE),
            base_url="https://api-engage-eu.sitecorecloud.io",
            credentials={"client_key": "a", "api_token": ""},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="batchsync tests",
        )


def test_reads_and_writes_of_requests_are_noted(mocks: batchsync_mocks.Running) -> None:
    noted: list[None] = []
    vendor = Connector(Network(on_transfer=lambda: noted.append(None)))(
        load_vendor(SITECORE),
        base_url=mocks.urls[SITECORE],
        credentials=mocks.credentials(SITECORE),
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="batchsync tests",
    )
    assert noted == []
    vendor.describe(TARGETS[SITECORE])
    assert len(noted) > 1
