"""Check that files go to, and come from, the storage that the connection has used so far or declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.storage_location import location_matches
from batchsync.core.vendor_calls import Endpoint
from batchsync.errors import PermanentError

if TYPE_CHECKING:
    from batchsync.ports import Network
    from batchsync.vendors.allowed_urls import UrlAllowList
    from batchsync.vendors.redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageGuard:
    """Guard against URLs of another customer's storage at an allowed host.

    The vendor's API names each URL. A host such as `storage.googleapis.com` serves the buckets of everybody, so that
    the first location of each purpose is remembered, unless jobs.yaml declares it.

    Attributes:
        allowed_urls: URLs that requests may be sent to.
        network: Declared storage, and the memory of storage in use.
        redactor: Redacts credentials in messages.
    """

    allowed_urls: UrlAllowList
    network: Network
    redactor: Redactor

    def check(self, url: str, purpose: str) -> None:
        """Check a URL before it is requested.

        Args:
            url: The URL.
            purpose: Kind of the file: `upload`, or the name of the document that is downloaded.

        Raises:
            PermanentError: If its storage is not the one that was used so far; the message says how to accept it.
        """
        refusal = ""
        try:
            self.allowed_urls.check(url, Endpoint.STORAGE)
            location = self.allowed_urls.location(url)
        except PermanentError as refused:
            refusal = self.redactor.redact(refused.reason)
        if refusal:
            raise PermanentError(refusal)
        memory = self.network.storage_memory
        if location is None or memory is None or location_matches(location, self.network.storage_hosts):
            return
        known = memory.first_seen(purpose, location)
        if known != location:
            shown = self.redactor.redact(location)
            raise PermanentError(
                f"the vendor names storage {shown} ({purpose}), and {known} was used so far: refused. If the vendor "
                f"confirms it, add to the connection in jobs.yaml: storage_hosts: [{known}, {shown}]"
            )
