"""Create the client of a connection: URL allow-list, transport, authentication and redaction from one vendor spec."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.storage_location import allowed_patterns
from batchsync.core.vendor_calls import Endpoint
from batchsync.errors import PermanentError, UnavailableError, UsageError
from batchsync.ports import Network
from batchsync.vendors.allowed_urls import UrlAllowList, is_loopback
from batchsync.vendors.auth import Auth
from batchsync.vendors.call_rate import CallRate
from batchsync.vendors.http import open_transport
from batchsync.vendors.observed import ObservedVendor
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.storage_guard import StorageGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Clock

_DIRECT = Network()


class Connector:
    """Factory of clients; implements `batchsync.ports.Connect`."""

    def __init__(self, network: Network = _DIRECT) -> None:
        """Create clients that use these network settings."""
        self._network = network

    def __call__(
        self,
        rules: VendorRules,
        *,
        base_url: str,
        credentials: Mapping[str, str],
        ca_bundle: str | None,
        clock: Clock,
        user_agent: str,
    ) -> ObservedVendor:
        """Return the client of a connection. No request is sent yet.

        Args:
            rules: The vendor spec.
            base_url: Base URL of the vendor's API.
            credentials: Values of the credentials that the vendor spec lists, by name.
            ca_bundle: Path of a PEM file with the certificates to trust instead of the system's.
            clock: Time source for timeouts and token lifetimes.
            user_agent: Value of the `User-Agent` header.

        Raises:
            UsageError: If the base URL is not one of the vendor's, or the vendor spec has no dialect.
            UnavailableError: If a credential has no value, or `ca_bundle` is not a certificate file.
        """
        network = self._network
        base = base_url.rstrip("/")
        if rules.dialect is None:
            raise UsageError(f"{rules.name}: the vendor spec has no HTTP calls (blocks describe and calls)")
        missing = [name for name in rules.credentials if not credentials.get(name)]
        if missing:
            raise UnavailableError(
                f"{rules.name}: no value for {', '.join(missing)}", hint="set it under the connection's credentials"
            )
        storage_hosts = allowed_patterns(rules.storage_hosts, network.storage_hosts)
        allowed_urls = UrlAllowList(
            base_url=base,
            api_hosts=rules.api_hosts,
            storage_hosts=storage_hosts,
            declared=network.storage_hosts,
        )
        _check_base_url(base, allowed_urls, rules)
        proxy = network.proxy
        # The user of a proxy may be an ordinary word.
        secrets = [*credentials.values(), *([proxy.password] if proxy else [])]
        redactor = Redactor(secrets, account=credentials.get(rules.account_credential, ""))
        if proxy:
            redactor.add_headers({"Proxy-Authorization": proxy.authorization} if proxy.authorization else {})
        http = open_transport(allowed_urls, rules.dialect.limits, clock, user_agent, ca_bundle, redactor)
        http = replace(http, proxy=proxy, on_transfer=network.on_transfer)
        # Mocks issue tokens themselves.
        token_base = base if is_loopback(base) else rules.dialect.auth.base_url or base
        auth = Auth(rules.dialect.auth, credentials, http.send, base_url=token_base, clock=clock, redactor=redactor)
        guard = StorageGuard(allowed_urls=allowed_urls, network=network, redactor=redactor)
        rate = CallRate(rules.policy.account.lowered(network.limits).calls_per_minute, clock, network.reserve_calls)
        vendor = ObservedVendor(rules=rules, base_url=base, http=http, auth=auth, clock=clock, storage=guard)
        vendor.limit_calls(rate)
        return vendor


connect = Connector()


def _check_base_url(base: str, allowed_urls: UrlAllowList, rules: VendorRules) -> None:
    """Raise UsageError if a base URL is not one of the vendor's."""
    problem = ""
    try:
        allowed_urls.check(base, Endpoint.API)
    except PermanentError as refused:
        problem = refused.reason
    if problem or "?" in base:
        hosts = ", ".join(rules.api_hosts)
        raise UsageError(
            f"base_url: {problem or 'a query string is not allowed'}", hint=f"hosts of {rules.name}: {hosts}"
        )
