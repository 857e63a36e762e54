"""Wiring of alerts for a command that runs jobs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync import spec
from batchsync.core.alert_channels import WebhookChannel, references_of
from batchsync.core.connection import Connection
from batchsync.errors import BatchsyncError
from batchsync.journal import is_held, open_anchored
from batchsync.observers.alert_engine import Means, Watch
from batchsync.observers.alert_facts import Schedules, WatchedJob
from batchsync.observers.alert_worker import AlertWorker, Origin
from batchsync.observers.alerts import AlertObserver
from batchsync.observers.delivery import Secrets
from batchsync.ports import Waiting
from batchsync.schedule import latest_begin
from batchsync.util.files import read_secret

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.core.alert_channels import AlertSettings, AnyChannel
    from batchsync.core.deployment import Deployment
    from batchsync.core.schedule import Schedule
    from batchsync.ports import RunEvent


def channel_secrets(channel: AnyChannel) -> Secrets:
    """Return what the references of a channel stand for.

    Raises:
        UnavailableError: If a reference has no value.
    """
    proxy = channel.proxy if isinstance(channel, WebhookChannel) else ""
    return _resolved(f"alerts.{channel.name}", references_of(channel), proxy)


def ping_secrets(settings: AlertSettings) -> Secrets:
    """Return the URL of the ping and its proxy.

    Raises:
        UnavailableError: If a reference has no value.
    """
    return _resolved("alerts", {"ping": settings.ping}, settings.ping_proxy)


def _resolved(name: str, references: dict[str, str], proxy: str) -> Secrets:
    """Resolve references as those of a connection of this name."""
    owner = Connection(name=name, vendor="", base_url="", credentials=references, proxy=proxy)
    return Secrets(
        values=spec.resolve_credentials(owner, os.environ, read_secret),
        proxy=spec.resolve_proxy(owner, os.environ, read_secret),
    )


class Alerting:
    """Alerts of a command that runs jobs, an observer of its events.

    Context manager; the end of the block lets them be sent, for a few seconds.
    """

    def __init__(self, session: Session) -> None:
        """Create alerts that only note events until `begin` is called.

        Args:
            session: The command's session, which prints what could not be delivered.
        """
        self._session = session
        self._observer = AlertObserver()

    def begin(self, app: App, *, served: Collection[str] | None = (), once: bool = True, pings: bool = True) -> None:
        """Begin to evaluate and deliver, if jobs.yaml says where to.

        Args:
            app: The open application, with its services.
            served: Names of the jobs whose schedules this process runs; None for all. None are served by commands that
                do not follow the jobs file.
            once: Whether the command ends by itself, so that its begin and end are pinged.
            pings: Whether the command is one that the dead-man check waits for.
        """
        if served is None or served:
            self._observer.loaded()
        settings = app.deployment.alerts
        if not (settings.channels or (settings.ping and pings)):
            return

        def now() -> datetime:
            return app.clock.now()  # the mocks replace the clock

        chosen, state = app.settings, app.settings.state_folder
        origin = Origin(
            open_journal=partial(open_anchored, state, chosen.anchors_folder),
            schedules=Schedules(None if served is None else frozenset(served), _following, partial(is_held, state)),
            means=Means(secrets=channel_secrets, ping=ping_secrets, only_local=chosen.mocks, warn=self._observer.warn),
            now=now,
            once=once,
        )
        worker = AlertWorker(self._observer, origin)
        self._observer.start(lambda: _watch(app.deployment, chosen.env or "", pings=pings), worker.run)

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Note what an event says; while nothing is due, print what could not be delivered.

        Args:
            event: The event.
            at: When it was emitted.
        """
        self._observer.observe(event, at)
        if isinstance(event, Waiting):
            self._print_warnings()

    def __enter__(self) -> Self:
        """Return the alerts."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Evaluate and deliver for the last time, and print what failed."""
        self._observer.close(failed=kind is not None)
        self._print_warnings()

    def _print_warnings(self) -> None:
        """Print what could not be delivered so far."""
        for warning in self._observer.warnings():
            self._session.print_line(f"warning: {warning}", role="warn")


def evaluate_alerts(session: Session, app: App) -> None:
    """Evaluate and deliver alerts once, at the end of a command that ended a condition, such as `resolve`.

    A jobs file that cannot be used leaves them to the next command.

    Args:
        session: The command's session.
        app: The open application.
    """
    alerts = Alerting(session)
    with suppress(BatchsyncError):
        alerts.begin(app, pings=False)
    with alerts:
        pass


def _following(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first tick after a time, or None."""
    return latest_begin(schedule, after)


def _watch(deployment: Deployment, environment: str, *, pings: bool) -> Watch:
    """Return what is watched of a deployment."""
    settings = deployment.alerts if pings else replace(deployment.alerts, ping="")
    return Watch(settings=settings, jobs=_watched(deployment), environment=environment)


def _watched(deployment: Deployment) -> tuple[WatchedJob, ...]:
    """Return the declared jobs."""
    vendors = {job.name: deployment.connections[job.connection].vendor for job in deployment.jobs}
    return tuple(
        WatchedJob(
            name=job.name,
            all_names=job.all_names,
            budget=job.budget,
            schedule=job.effective_schedule,
            peers=frozenset(
                name
                for other in deployment.jobs
                if vendors[other.name] == vendors[job.name]
                for name in other.all_names
            ),
        )
        for job in deployment.jobs
    )
