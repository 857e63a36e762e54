"""Observers for those who watch a command: metrics, health, traces and the service manager.

What needs an extra is imported only if it is asked for.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from string import ascii_letters, digits
from typing import TYPE_CHECKING, cast

import click

from batchsync.cli.durations import Duration
from batchsync.core.loop_health import WORK_MARGIN
from batchsync.errors import BatchsyncError, UsageError, install_hint
from batchsync.observers.loop_health import LoopHealth
from batchsync.observers.systemd import notifier
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.core.job import Job
    from batchsync.observers.metrics import MetricsObserver
    from batchsync.observers.systemd import SystemdNotifier
    from batchsync.ports import Observer

#: Where `serve --metrics` listens by default.
DEFAULT_ADDRESS = "127.0.0.1:9464"
#: Variables that name a receiver of traces.
_TRACE_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PORT_MAX = 65535
_HOST_CHARACTERS = f"{ascii_letters}{digits}.:-_"

metrics_file = click.option(
    "--metrics-file",
    type=click.Path(path_type=Path),
    metavar="FILE.prom",
    help="When the command ends, write metrics for the textfile collector of node_exporter.",
)


stalled_after = click.option(
    "--stalled-after", type=Duration(), default="1h", show_default=True, metavar="DURATION",
    help="How long work may take without progress before /healthz and the watchdog of systemd fail.",
)  # fmt: skip


@dataclass(slots=True)
class Monitoring:
    """Observers of a process that serves.

    Attributes:
        health: Signs of life of the loop.
        observers: The observers.
        documents: Documents by path for an HTTP server: body and content type.
        metrics: Metrics; None if they are not wanted.
        systemd: The service manager; None if there is none.
    """

    health: LoopHealth = field(default_factory=LoopHealth)
    observers: list[Observer] = field(default_factory=list)
    documents: dict[str, Callable[[], tuple[bytes, str]]] = field(default_factory=dict)
    metrics: MetricsObserver | None = None
    systemd: SystemdNotifier | None = None
    _jobs: Callable[[], Sequence[Job]] = tuple

    def jobs(self) -> Sequence[Job]:
        """Return the active jobs; none before they are loaded."""
        return self._jobs()

    def ready(self, jobs: Callable[[], Sequence[Job]]) -> None:
        """Take note of the jobs, which are loaded and run from now on.

        Args:
            jobs: Returns the active jobs; called from any thread.
        """
        self._jobs = jobs
        self.health.loaded = True
        if self.systemd is not None:
            self.systemd.ready(len(jobs()))

    def is_alive(self) -> tuple[bool, str]:
        """Return whether the loop turns as planned, for `/healthz`."""
        return (True, "ok") if self.health.is_healthy() else (False, "the loop does not turn, or its work has stalled")

    def is_ready(self) -> tuple[bool, str]:
        """Return whether jobs can run, for `/readyz`."""
        if not self.health.loaded:
            return False, "jobs are not loaded yet"
        reason = "" if self.metrics is None else self.metrics.unready_reason()
        return not reason, reason or "ok"


@contextmanager
def monitored_serve(
    session: Session,
    opened: Sequence[App],
    *,
    address: str | None,
    file: Path | None,
    page: bool = False,
    stalled_after: timedelta = WORK_MARGIN,
) -> Iterator[Monitoring]:
    """Yield the monitoring of `serve`, with its HTTP server if an address is given, until the block ends.

    Args:
        session: The session of the command.
        opened: Holds the application once it is open.
        address: Where metrics and health are served; None for nowhere.
        file: Where metrics are written in the end; None for nowhere.
        page: Whether there is a page, which has metrics among its documents if the extra is installed.
        stalled_after: How long work may take without progress.

    Yields:
        The monitoring.

    Raises:
        UsageError: If the address or the file cannot be one, or the extra is missing.
        UnavailableError: If the address cannot be used.
    """
    found = Monitoring(health=LoopHealth(work_margin=stalled_after))
    found.observers.append(found.health)
    with ExitStack() as stack:
        if (manager := notifier(os.environ, found.health.is_healthy)) is not None:
            found.systemd = manager
            found.observers.append(manager)
            stack.enter_context(manager.running())
        if address is not None or file is not None or (page and _has_metrics()):
            place = _address(address) if address is not None else None
            kept = _checked_file(file) if file is not None else None
            observer = _metrics_observer(session, opened, found.jobs, keeps_durations=file is not None)
            found.metrics = observer
            found.observers.append(observer)
            found.documents["/metrics"] = observer.exposition
            if kept is not None:
                stack.callback(_write, kept, observer, session)
            if place is not None:
                checks = {"/healthz": found.is_alive, "/readyz": found.is_ready}
                server = import_module("batchsync.observers.metrics_server")
                host, port = stack.enter_context(server.serving(*place, found.documents, checks))
                shown = f"[{host}]" if ":" in host else host
                session.print_notice(f"metrics at http://{shown}:{port}/metrics")
        yield found


@contextmanager
def metrics_written(session: Session, opened: Sequence[App], file: Path | None) -> Iterator[list[Observer]]:
    """Yield the observers that metrics need, and write the file when the block ends, however it ends.

    Args:
        session: The session of the command.
        opened: Holds the application once it is open.
        file: The file; None for none.

    Yields:
        The observers; none without a file.

    Raises:
        UsageError: If the file cannot be one, or the extra is missing.
    """
    if file is None:
        yield []
        return
    path = _checked_file(file)

    def jobs() -> Sequence[Job]:
        with suppress(BatchsyncError):
            return opened[0].deployment.jobs if opened else ()
        return ()

    observer = _metrics_observer(session, opened, jobs, keeps_durations=True)
    try:
        yield [observer]
    finally:
        _write(path, observer, session)


@contextmanager
def traced(environ: Mapping[str, str]) -> Iterator[list[Observer]]:
    """Yield the observer that sends traces, if variables name a receiver and the SDK is installed.

    Args:
        environ: Environment variables.

    Yields:
        The observer, or none.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter not in ("", "otlp")
    if is_off or not any(environ.get(name) for name in _TRACE_ENDPOINTS) or not _has_tracing():
        yield []
        return
    with import_module("batchsync.observers.traces").tracing() as observer:
        yield [observer]


def _has_metrics() -> bool:
    """Return whether the extra `metrics` is installed."""
    return find_spec("prometheus_client") is not None


def _has_tracing() -> bool:
    """Return whether the extra `traces` is installed."""
    try:
        names = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
        return all(find_spec(name) is not None for name in names)
    except ModuleNotFoundError:
        return False


def _metrics_observer(
    session: Session, opened: Sequence[App], jobs: Callable[[], Sequence[Job]], *, keeps_durations: bool
) -> MetricsObserver:
    """Return the observer.

    Raises:
        UsageError: If the extra is missing.
    """
    if not _has_metrics():
        raise UsageError("metrics need the package prometheus-client", hint=install_hint("metrics"))

    def now() -> datetime:
        return opened[0].clock.now() if opened else session.now()

    made = import_module("batchsync.observers.metrics").MetricsObserver(
        session.state_folder(), jobs=jobs, now=now, keeps_durations=keeps_durations
    )
    return cast("MetricsObserver", made)


def _write(path: Path, observer: MetricsObserver, session: Session) -> None:
    """Write the file; one that cannot be written changes nothing of the command."""
    try:
        observer.write_file(path)
    except OSError as error:
        session.print_line(f"warning: {path}: metrics cannot be written: {os_error_reason(error)}", role="warn")


def _checked_file(path: Path) -> Path:
    """Return the path of a metrics file.

    Raises:
        UsageError: If the collector would not read it, or its folder does not exist.
    """
    if path.suffix != ".prom":
        raise UsageError(f"--metrics-file {path}: node_exporter reads *.prom only", hint=f"--metrics-file {path}.prom")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--metrics-file {path}: no such folder", hint=f"create {path.absolute().parent}")
    return path


def _address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `HOST`, `:PORT` or `PORT`; loopback and the default where they are missing.

    Raises:
        UsageError: If it is something else.
    """
    default_host, _, default_port = DEFAULT_ADDRESS.rpartition(":")
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or (not colon and not text.isdigit()):
        host, port = text, ""
    host = host.removeprefix("[").removesuffix("]") or default_host
    port = port or default_port
    is_host = not set(host) - set(_HOST_CHARACTERS)
    if not (port.isascii() and port.isdigit() and int(port) <= _PORT_MAX and is_host):
        raise UsageError(f"--metrics {text}: expected HOST:PORT", hint=f"--metrics {DEFAULT_ADDRESS}")
    return host, int(port)
