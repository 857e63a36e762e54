"""Vendor accounts of jobs.yaml as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.mapping import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from batchsync.core.account_limits import AccountLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A vendor account. Credentials are references until `app` resolves them; values never enter a spec hash.

    `credentials` maps a name to the reference as written (`${VAR}`, `${VAR:-default}`, `${file:...}`); references of
    `proxy` are left as written, too. `storage_hosts` are patterns of `core.storage_location`. `poll_every`, `deadline`,
    `retry_for` and `in_flight` override the vendor's policy, and `limits` lower what the vendor takes. `settings` are
    values of settings of the vendor, and `setting_files` the files that they were read from. `renamed_from` are former
    names of the connection.
    """

    name: str
    vendor: str
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    ca_bundle: str | None = None
    proxy: str = field(default="", repr=False)
    storage_hosts: tuple[str, ...] = ()
    poll_every: timedelta | None = None
    deadline: timedelta | None = None
    retry_for: timedelta | None = None
    in_flight: int | None = None
    limits: AccountLimits | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    setting_files: tuple[str, ...] = ()
    renamed_from: tuple[str, ...] = ()
    place: Place = field(default=Place(), compare=False)
