"""The page of `serve`: its options, and what its forms ask of the loop."""

from __future__ import annotations

import os
import queue
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from batchsync.cli.declared import DeclaredJobs
from batchsync.cli.plan import plan_for_page
from batchsync.cli.why import Scope, masked_key, search_key, shown_key
from batchsync.errors import BatchsyncError, UnavailableError, UsageError, install_hint
from batchsync.observers.loop_health import LoopHealth
from batchsync.reconcile.orders import Orders, Reply, unserved
from batchsync.reconcile.services import JobContext
from batchsync.report.why import WhyReport
from batchsync.web.access import Access, Address
from batchsync.web.backend import ShownPlan
from batchsync.web.live import LiveEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from batchsync.app import App
    from batchsync.cli.reload import JobsReloader
    from batchsync.cli.session import Session
    from batchsync.core.job import Job
    from batchsync.journal import Journal
    from batchsync.reconcile.orders import Order
    from batchsync.reconcile.services import SelectedJob, Services
    from batchsync.reconcile.sync import JobOutcome
    from batchsync.report.masks import Mask
    from batchsync.web.server import Document, PageServer

#: Address of `--page` without a value.
DEFAULT_ADDRESS = "127.0.0.1:8321"
#: Variable that has the token, unless a file has it.
VARIABLE = "BATCHSYNC_PAGE_TOKEN"
#: Packages of the extra.
_PACKAGES = ("anyio", "jinja2", "starlette", "uvicorn")
_MAX_TOKEN = 4_096
#: How long a plan that was made for the page is kept in memory.
PLAN_KEPT = timedelta(minutes=15)


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command with the options of the page."""
    options = (
        click.option(
            "--page",
            metavar="[HOST:PORT]",
            is_flag=False,
            flag_value=DEFAULT_ADDRESS,
            help=f"Serve a page with jobs, runs and rejects, on this machine only unless HOST says otherwise "
            f"(default: {DEFAULT_ADDRESS}).",
        ),
        click.option(
            "--page-token-file",
            metavar="FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"Token that the page asks for; {VARIABLE} has it otherwise.",
        ),
        click.option(
            "--page-trust-header",
            metavar="NAME",
            default="",
            help="Header in which an authenticating proxy in front of the page names the user.",
        ),
        click.option(
            "--page-allow-host",
            metavar="HOST",
            multiple=True,
            help="Further host name under which the page is reached. May be repeated.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class PageOptions(TypedDict):
    """Values of the options of the page; without `page` there is none."""

    page: str | None
    page_token_file: Path | None
    page_trust_header: str
    page_allow_host: tuple[str, ...]


def page_loop(session: Session, **options: Unpack[PageOptions]) -> PageLoop | None:
    """Return the page that the options ask for, before jobs.yaml is read; None for none.

    Args:
        session: The session of `serve`.
        **options: The options.

    Raises:
        UsageError: If others would reach the page without a proof of who asks, the token cannot be read, or an option
            of the page is given without `--page`.
        UnavailableError: If the packages of the page are not installed.
    """
    if options["page"] is None:
        if options["page_token_file"] or options["page_trust_header"] or options["page_allow_host"]:
            raise UsageError("options of the page need --page", hint="`batchsync serve --page`", name="usage.page")
        return None
    access = Access(
        address=Address.parse(options["page"]),
        token=_token(options["page_token_file"]),
        trusted_header=options["page_trust_header"],
        names=frozenset(name.lower() for name in options["page_allow_host"]),
        monotonic=time.monotonic,
    )
    return PageLoop(session=session, access=access, server_class=_server_class())


def _token(file: Path | None) -> str:
    """Return the token of a file, else of the variable; empty if there is none."""
    if file is None:
        return os.environ.get(VARIABLE, "").strip()
    try:
        with file.open(encoding="utf-8") as content:
            found = content.read(_MAX_TOKEN + 1).strip()
    except (OSError, ValueError):
        found = ""
    if not found or len(found) > _MAX_TOKEN:
        raise UsageError(
            f"--page-token-file {file}: no token can be read from it",
            hint=f"write one, as by `openssl rand -hex 32 > {file}`",
            name="usage.page",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Running:
    """What the loop runs."""

    app: App
    reloader: JobsReloader
    services: Services
    on_outcome: Callable[[JobOutcome], None]


@dataclass(slots=True)
class PageLoop:
    """The process as the page sees it (`Backend`), and what the page asks of the loop (`Controls`).

    The loop performs orders between two passes, under the leases of their jobs: nothing of it runs during a pass.

    Attributes:
        session: The session of `serve`; it says on stderr what was asked for.
        access: Rules of access.
        server_class: Class of the server.
        health: Signs of life, for `/healthz`.
        live: Feeds browsers; an observer.
    """

    session: Session
    access: Access
    server_class: type[PageServer]
    health: LoopHealth = field(default_factory=LoopHealth)
    live: LiveEvents = field(default_factory=LiveEvents)
    _part: _Running | None = None
    _plans: dict[str, ShownPlan] = field(default_factory=dict)
    _orders: queue.SimpleQueue[tuple[Order, Future[Reply]]] = field(default_factory=queue.SimpleQueue)

    @property
    def state_folder(self) -> Path:
        """The state folder."""
        return self.session.state_folder()

    @contextmanager
    def serving(
        self,
        app: App,
        reloader: JobsReloader,
        services: Services,
        on_outcome: Callable[[JobOutcome], None],
        documents: Mapping[str, Document] | None = None,
    ) -> Iterator[None]:
        """Serve the page during the block.

        Args:
            app: The application.
            reloader: Source of the active jobs.
            services: Where they run.
            on_outcome: Takes the outcomes of runs that the page resumes.
            documents: Further documents by path, such as `/metrics`.

        Raises:
            UnavailableError: If the address cannot be used.
        """
        reloader()  # pages of the first moment show all jobs
        self._part = _Running(app, reloader, services, on_outcome)

        def warn(message: str) -> None:
            self.session.print_line(f"warning: {message}", role="warn")

        with self.server_class(self.access, self, documents=documents, warn=warn) as server:
            self.session.print_line(f"page: {server.url}")
            yield

    def jobs(self) -> Mapping[str, Job]:
        """Return the active jobs by name."""
        return {item.job.name: item.job for item in self._running.reloader.contexts}

    def now(self) -> datetime:
        """Return the time of the jobs."""
        return self._running.app.clock.now()

    def why(self, key: str, job: str, journal: Journal, mask: Mask) -> WhyReport:
        """Return the state and history of a key; the source is not read.

        Raises:
            UsageError: If no job has it.
        """
        able = [item for item in self._running.reloader.contexts if isinstance(item, JobContext)]
        accounts = {item.job.name: item.account_id for item in able}
        known = DeclaredJobs(jobs=self.jobs())
        names = [job] if job else list(dict.fromkeys([*known.jobs, *journal.jobs()]))
        scopes = [Scope(name, accounts.get(name), reads_source=False) for name in names]
        searched = [
            masked_key(search_key(key, known, journal, self._running.app, mask, scope), mask) for scope in scopes
        ]
        if not any(item.is_known for item in searched):
            raise UsageError(f"unknown key {shown_key(key, names, mask)}", name="usage.unknown_key")
        return WhyReport(key=shown_key(key, names, mask), jobs=tuple(item for item in searched if item.is_known))

    def planned(self, job: str) -> ShownPlan | None:
        """Return the plan of a job that was made for the page, unless it is old: it has keys of rows."""
        found = self._plans.get(job)
        if found is not None and not timedelta(0) <= self.now() - found.at <= PLAN_KEPT:
            self._plans.pop(job, None)
            return None
        return found

    def submit(self, order: Order) -> Future[Reply]:
        """Return what becomes of an order, after handing it to the loop and waking it."""
        future: Future[Reply] = Future()
        self._orders.put((order, future))
        self._running.app.interrupts.wake()
        return future

    def rest(self, duration: timedelta) -> None:
        """Wait until something is due, or an order comes."""
        with self._running.app.interrupts.rest():
            self._running.app.clock.sleep(duration)

    def take(self, contexts: Sequence[SelectedJob]) -> Collection[str]:
        """Return the jobs that are to run, after performing the orders that came."""
        self.health.beat()
        asked, running = set[str](), self._running
        orders = Orders(running.services, running.app.journal, running.on_outcome)
        while not self._orders.empty():
            order, future = self._orders.get()
            try:
                reply = self._plan(order, contexts) if order.verb == "plan" else orders.perform(order, contexts)
            except BatchsyncError as error:
                future.set_exception(error)
            else:
                future.set_result(reply)
                asked |= {reply.runs} - {""}
                if reply.done and order.verb != "plan":
                    self.session.print_notice(f"{order.job}: {order.verb} by the page, for {order.words}")
        return asked

    def _plan(self, order: Order, contexts: Sequence[SelectedJob]) -> Reply:
        """Compare the source of a job, under its lease, and keep the plan for the page."""
        context = next((item for item in contexts if order.job == item.job.name), None)
        if not isinstance(context, JobContext):
            return unserved(order)
        app, services = self._running.app, self._running.services
        with services.lease(order.job):
            self._plans[order.job] = ShownPlan(plan_for_page(app, context, services), self.now())
        return Reply(sentence="compared")

    @property
    def _running(self) -> _Running:
        """What the loop runs.

        Raises:
            UnavailableError: If it has not begun.
        """
        if self._part is None:
            raise UnavailableError("the loop has not begun yet", hint="read the page again")
        return self._part


def _server_class() -> type[PageServer]:
    """Return the class of the server, whose packages are an extra.

    Raises:
        UnavailableError: If they are not installed.
    """
    try:
        found: type[PageServer] = import_module("batchsync.web.server").PageServer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PACKAGES:
            raise
        raise UnavailableError(
            f"the page needs the package {error.name}", hint=install_hint("page"), name="environment.package"
        ) from None
    return found
