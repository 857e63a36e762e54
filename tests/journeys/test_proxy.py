"""Connections through a forward proxy: tunnels for https, and nothing of the environment."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from kit.deployment import BDP, CDP
from kit.forward_proxy import API_HOSTS

if TYPE_CHECKING:
    from pathlib import Path

    from kit.forward_proxy import NamedDeployment

#: The user is an ordinary word, which ids of vendors may contain.
USER, PASSWORD = "batchsync", "pr0xy:p@ss/word+="
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def state_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (folder / ".batchsync").rglob("*") if file.is_file())


def test_sync_through_proxy_uses_tunnels_only(named: NamedDeployment) -> None:
    named.connect()
    named.run("sync")
    targets = set(named.vendors.proxy.targets)
    assert {f"CONNECT {host}:443" for host in API_HOSTS.values()} < targets
    assert all(target.startswith("CONNECT ") and target.endswith(":443") for target in targets)
    assert sum(named.delivered(CDP).values()) == 29
    assert sum(named.delivered(BDP).values()) == 20
    # What the proxy can read: the heads of CONNECT, and the TLS records.
    readable = b"".join(named.vendors.proxy.heads) + bytes(named.vendors.proxy.tunnelled)
    for secret in named.vendors.credentials().values():
        assert secret.encode() not in readable
    assert b"authorization" not in b"".join(named.vendors.proxy.heads).lower()
    assert b"guest1@example.com" not in readable


@pytest.mark.parametrize("form", ["parts", "whole"])
def test_proxy_with_credentials(named: NamedDeployment, form: str) -> None:
    proxy = named.vendors.proxy
    proxy.authorization = f"Basic {BASIC}"
    if form == "parts":
        named.more.update(PROXY_USER=USER, PROXY_PASSWORD=PASSWORD)
        named.connect("http://${PROXY_USER}:${PROXY_PASSWORD}@" + proxy.address)
    else:
        named.more.update(HTTPS_PROXY=f"http://{USER}:pr0xy%3Ap%40ss%2Fword%2B%3D@{proxy.address}")
        named.connect("${HTTPS_PROXY}")
    named.run("sync", "guests")
    assert sum(named.delivered(CDP).values()) == 29
    assert BASIC.encode() not in bytes(proxy.tunnelled)
    assert not [secret for secret in (PASSWORD, BASIC) if secret in named.log]
    assert not [secret for secret in (PASSWORD, BASIC) if secret.encode() in state_bytes(named.folder)]


@pytest.mark.parametrize("password", ["wr0ng-passw0rd", ""])
def test_refusal_of_proxy_names_its_status_and_no_credential(named: NamedDeployment, password: str) -> None:
    proxy = named.vendors.proxy
    proxy.authorization = f"Basic {BASIC}"
    named.more.update(PROXY_USER=USER, PROXY_PASSWORD=password)
    named.connect("http://${PROXY_USER}:${PROXY_PASSWORD:-}@" + proxy.address)
    named.run("sync", "guests", "--timeout", "1s", expect=3)
    assert f"proxy {proxy.address} refused the connection with HTTP 407; nothing was sent" in named.log
    sent = base64.b64encode(f"{USER}:{password}".encode()).decode()
    shown = named.log.encode() + state_bytes(named.folder)
    assert not [secret for secret in (password, sent) if secret and secret.encode() in shown]
    assert named.vendors.seen == []


def test_proxy_that_is_down_is_named(named: NamedDeployment) -> None:
    named.connect()
    named.vendors.proxy.close()
    named.run("sync", "guests", "--timeout", "1s", expect=3)
    assert f"connection to proxy {named.vendors.proxy.address} failed" in named.log


def test_variables_of_proxies_are_ignored(named: NamedDeployment) -> None:
    """Neither a proxy nor an exception from one is taken from the environment alone."""
    other = "http://127.0.0.1:9"
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    named.more.update(dict.fromkeys(names, other))
    named.more.update(dict.fromkeys(("no_proxy", "NO_PROXY"), "*"))
    named.connect()
    named.run("sync", "guests")
    assert len(named.vendors.proxy.targets) == len(named.vendors.seen)


def test_unset_variable_of_proxy_is_reported(named: NamedDeployment) -> None:
    named.connect("http://${PROXY_USER}:${PROXY_PASSWORD}@" + named.vendors.proxy.address)
    named.run("validate")
    named.run("sync", "guests", "--timeout", "1s", expect=3)
    assert 'credential "proxy user" of connection "sitecore": PROXY_USER is not set' in named.log
    assert "export PROXY_USER=..." in named.log


def test_mocks_are_used_without_proxy(named: NamedDeployment) -> None:
    named.connect()
    named.more.update(BATCHSYNC_MOCKS="1")
    named.run("sync", "guests")
    assert named.vendors.proxy.targets == []
