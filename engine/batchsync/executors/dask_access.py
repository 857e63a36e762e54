"""Access to the scheduler of a Dask cluster: its address and certificates, which are settings of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batchsync.errors import UsageError
from batchsync.util.hosts import is_loopback

if TYPE_CHECKING:
    from batchsync.executors.opening import DaskAccess

_ADDRESS = "BATCHSYNC_DASK_ADDRESS"
_SETTING = "usage.setting"


def check_access(access: DaskAccess) -> None:
    """Check that the settings name a scheduler that may be used.

    Args:
        access: The settings.

    Raises:
        UsageError: If they do not.
    """
    if not access.address:
        raise UsageError(
            f"executor: {{dask: cluster}} needs the address of its scheduler in {_ADDRESS}",
            hint=f"export {_ADDRESS}=tls://HOST:8786, and the certificates in BATCHSYNC_DASK_TLS_CA, _CERT and _KEY",
            name=_SETTING,
        )
    scheme, host = _parts(access.address)
    if scheme not in ("tls", "tcp") or not host:
        # The address itself is not shown: what stands there may be anything.
        raise UsageError(f"{_ADDRESS} is no address of a scheduler", hint="tls://HOST:PORT is needed", name=_SETTING)
    if scheme == "tls":
        _check_certificates(access)
    elif not is_loopback(host) and not access.unencrypted:
        raise UsageError(
            f"{_ADDRESS} is tcp:// to another machine: its workers would run code of every machine of the network",
            hint="use tls:// with certificates, or export BATCHSYNC_DASK_ALLOW_TCP=1 in a network that you trust",
            name=_SETTING,
        )


def _parts(address: str) -> tuple[str, str]:
    """Return the scheme and the host of an address; an empty host if there is no port, or more than that."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "", ""
    plain = port and "@" not in parts.netloc and parts.path in ("", "/") and not parts.query and not parts.fragment
    return parts.scheme, parts.hostname or "" if plain else ""


def _check_certificates(access: DaskAccess) -> None:
    """Check that there is a readable file of each kind.

    Raises:
        UsageError: If there is not.
    """
    files = {"CA": access.ca, "CERT": access.certificate, "KEY": access.key}
    for name, path in files.items():
        variable = f"BATCHSYNC_DASK_TLS_{name}"
        if path is None:
            raise UsageError(
                f"{_ADDRESS} is tls://, and {variable} is not set", hint=f"export {variable}=FILE.pem", name=_SETTING
            )
        if not path.is_file() or not os.access(path, os.R_OK):
            raise UsageError(f"{variable}: {path} is no readable file", hint="correct the path", name=_SETTING)


def security_of(access: DaskAccess, security: Any) -> Any:
    """Return the certificates as Dask takes them; None for an address without encryption.

    Args:
        access: The settings, which were checked.
        security: The class `distributed.Security`.
    """
    if not access.address.startswith("tls:"):
        return None
    return security(
        require_encryption=True,
        tls_ca_file=str(access.ca),
        tls_client_cert=str(access.certificate),
        tls_client_key=str(access.key),
    )
