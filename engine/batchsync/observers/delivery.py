"""What the channels of alerts have in common: resolved secrets, and the failure of a delivery."""

from __future__ import annotations

import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchsync.ports import Proxy

#: Longest duration of a delivery, in seconds.
SECONDS = 10.0


class DeliveryError(Exception):
    """A message could not be delivered. `reason` has no secrets and no text of a server."""

    def __init__(self, reason: str, hint: str = "") -> None:
        """Store the reason, and what would help."""
        super().__init__(reason)
        self.reason, self.hint = reason, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the references of a channel stand for: values by key, and its proxy."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: Proxy | None = None


def certificates(path: str | None) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file; None for the public ones.

    Raises:
        DeliveryError: If it is no such file.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        raise DeliveryError("its ca_bundle is no file of certificates") from None


def bounded(call: Callable[[], None], seconds: float = SECONDS) -> None:
    """Run a call in a thread of its own, and leave it behind if it takes too long.

    Args:
        call: The call; a `DeliveryError` of it is raised again.
        seconds: Longest time to wait.

    Raises:
        DeliveryError: If it fails, or takes longer.
    """
    # A library of a channel may raise anything, with secrets in its text: only that it failed is kept.
    outcome: list[DeliveryError | None] = []

    def run() -> None:
        with suppress(Exception):
            try:
                call()
                outcome.append(None)
            except DeliveryError as error:
                outcome.append(error)

    thread = threading.Thread(target=run, name="batchsync-alert-delivery", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise DeliveryError(f"no answer in {seconds:g} s")
    if not outcome:
        raise DeliveryError("the delivery failed unexpectedly")
    if outcome[0] is not None:
        raise outcome[0]
