"""Which revision to load now: the last good one at a start, then each newer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from batchsync.deployments.checkouts import Checkout, Checkouts
    from batchsync.deployments.origin import Origin


@dataclass(frozen=True, slots=True)
class Polling:
    """When the origin is asked.

    Attributes:
        now: Returns the time of this machine; the clock of mocks may be advanced.
        every: Time between two questions.
    """

    now: Callable[[], datetime]
    every: timedelta


class Follower:
    """Follows an origin: names the revision to load, and remembers which could be used.

    An origin that cannot be asked changes nothing; `on_failure` is called with each new reason, and with None when the
    origin answers again.
    """

    def __init__(
        self,
        origin: Origin,
        checkouts: Checkouts,
        polling: Polling,
        on_failure: Callable[[BatchsyncError | None], None],
    ) -> None:
        """Create the follower; nothing is read yet."""
        self._origin, self._checkouts, self._polling, self._on_failure = origin, checkouts, polling, on_failure
        self._active: Checkout | None = None
        self._newest: Checkout | None = None
        self._asked: datetime | None = None
        self._failure = ""
        self._recorded = ""

    @property
    def title(self) -> str:
        """What is followed."""
        return self._origin.title

    @property
    def active(self) -> Checkout | None:
        """The checkout whose jobs are active."""
        return self._active

    def first(self) -> tuple[Checkout, ...]:
        """Return the checkouts to begin with, in this order: the last good one, then the newest one.

        Raises:
            BatchsyncError: If there is no good one, and the origin cannot be asked.
        """
        revision = self._checkouts.good(self._origin.title)
        good = self._checkouts.find(revision) if revision else None
        try:
            self._ask()
        except BatchsyncError as error:
            if good is None:
                raise
            self._fail(error)
        found = [good, self._newest]
        return tuple(dict.fromkeys(item for item in found if item is not None))

    def newer(self) -> Checkout | None:
        """Return the newest revision if it is not the active one; the origin is asked when it is time."""
        if self._asked is None or abs(self._polling.now() - self._asked) >= self._polling.every:
            try:
                self._ask()
            except BatchsyncError as error:
                self._fail(error)
        return self._newest if self._newest != self._active else None

    def activate(self, checkout: Checkout, *, complete: bool) -> None:
        """Note which checkout's jobs are active.

        Args:
            checkout: The checkout.
            complete: Whether all of its jobs are; then a restart begins with it, and older checkouts are deleted.

        Raises:
            UnavailableError: If that cannot be recorded.
        """
        self._active = checkout
        self._checkouts.switch(checkout)
        if complete and self._recorded != checkout.revision:
            self._checkouts.record_good(checkout, self._origin.title)
            self._recorded = checkout.revision
        if complete:
            self._checkouts.release([item for item in (checkout, self._newest) if item is not None])

    def _ask(self) -> None:
        """Find out the newest revision and write its checkout.

        Raises:
            BatchsyncError: If that is not possible now.
        """
        self._asked = self._polling.now()
        revision = self._origin.newest()
        if self._newest is None or self._newest.revision != revision:
            self._newest = self._checkouts.find(revision) or self._checkouts.add(self._origin)
        if self._failure:
            self._failure = ""
            self._on_failure(None)

    def _fail(self, error: BatchsyncError) -> None:
        """Tell why the origin cannot be asked, once for each reason."""
        if error.message != self._failure:
            self._failure = error.message
            self._on_failure(error)
