"""Certificates of HTTPS mocks: an authority that is kept in the state directory, and a certificate for chosen names."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

from batchsync_mocks import disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAX_NAME = 253
_SHOWN = 80


def check_names(names: Sequence[str], *, https: bool) -> None:
    """Check further names of a certificate.

    Args:
        names: Host names, such as those of a vendor; the first label may be `*`.
        https: Whether there is a certificate.

    Raises:
        ValueError: If a name is not a host name, or there is no certificate for it.
    """
    if names and not https:
        msg = f"A certificate for {names[0][:_SHOWN]!r} needs HTTPS; add --https."
        raise ValueError(msg)
    for name in names:
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            msg = f"{name[:_SHOWN]!r} is not a host name; write it like api.boxever.com, without scheme and port."
            raise ValueError(msg)


def tls_context(folder: Path, host: str, names: Sequence[str]) -> tuple[ssl.SSLContext, Path]:
    """Return a TLS context, and the certificate of its authority, which is created if needed.

    Args:
        folder: State directory, in which the authority is kept.
        host: Address to listen on.
        names: Further names of the certificate.
    """
    # Imported on use: only HTTPS needs trustme, and its import takes longer than the rest of the start.
    import trustme  # noqa: PLC0415 - see the line above

    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and key.exists():
        authority = trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    else:
        authority = trustme.CA(organization_name="batchsync mocks")
        for file, pem in ((key, authority.private_key_pem), (certificate, authority.cert_pem)):
            with disk.atomic_write(file) as stream:
                stream.write(pem.bytes())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*dict.fromkeys([host, *_LOCAL_NAMES, *names])).configure_cert(tls)
    return tls, certificate
