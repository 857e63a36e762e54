"""Pages, exports and the stream of events: what each URL answers to a reader."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from batchsync.core.run import RunState
from batchsync.errors import BatchsyncError
from batchsync.report.masks import Mask
from batchsync.report.text_format import strip_ansi
from batchsync.web.jobs_view import Deployed, job_page, jobs_page, plots_of
from batchsync.web.rejects_view import export, overview_page, parse_search, query_of, rejects_page
from batchsync.web.run_view import batch_view, run_page, span_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from starlette.requests import Request

    from batchsync.report.rejects import RejectLine
    from batchsync.web.access import Access
    from batchsync.web.backend import Backend
    from batchsync.web.live import LiveEvents
    from batchsync.web.reader import JournalReader
    from batchsync.web.remembered import Remembered

#: Days of the plots that may be asked for.
_DAYS = ("7", "30", "90", "365")
#: Longest key that is looked up.
_MAX_KEY = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages need.

    Attributes:
        backend: The process that serves them.
        reader: Reads the journal.
        live: Feeds browsers.
        access: Rules of access.
        templates: The templates.
        remembered: Sums that are kept in memory.
    """

    backend: Backend
    reader: JournalReader
    live: LiveEvents
    access: Access
    templates: Environment
    remembered: Remembered

    def routes(self) -> list[Route]:
        """Return the routes of all pages that only read."""
        return [
            Route("/", self.jobs),
            Route("/jobs/{name:path}", self.job),
            Route("/runs/{name:path}", self.run),
            Route("/batches/{name:path}", self.batch),
            Route("/rejects", self.rejects),
            Route("/rejects.{ending:str}", self.export),
            Route("/why", self.why),
            Route("/plan", self.plan, methods=["GET"]),
            Route("/history", self.history),
            Route("/events", self.events),
        ]

    def html(self, template: str, request: Request, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        """Return a page.

        Args:
            template: Name of the template.
            request: The request.
            status: Status of the response.
            **values: Values of the template.
        """
        common = {
            "now": self.backend.now(),
            "problem": self.live.problem,
            "done": request.query_params.get("done", ""),
            "user": request.scope.get("user", ""),
            "signed_in": bool(self.access.token),
            "path": request.url.path,
            "target": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "jobs_declared": list(self.backend.jobs()),
        }
        text = self.templates.get_template(template).render(common | values)
        return HTMLResponse(text, status_code=status)

    def deployed(self) -> Deployed:
        """Return what is known of the jobs besides the journal."""
        return Deployed(
            jobs=self.backend.jobs(),
            now=self.backend.now(),
            failures=dict(self.live.failures),
            remembered=self.remembered,
        )

    def missing(self, request: Request, what: str) -> HTMLResponse:
        """Return the page for something that is not there."""
        return self.html(
            "message.html", request, HTTPStatus.NOT_FOUND, title="Not found", sentences=[f"There is no {what}."]
        )

    async def jobs(self, request: Request) -> Response:
        """Return the page of all jobs."""
        deployed = self.deployed()
        page = await self.reader.read(lambda journal: jobs_page(journal, deployed))
        return self.html("jobs.html", request, page=page)

    async def job(self, request: Request) -> Response:
        """Return the page of one job."""
        name, deployed = request.path_params["name"], self.deployed()
        page = await self.reader.read(lambda journal: job_page(journal, name, deployed))
        if page is None:
            return self.missing(request, f"job {name}")
        return self.html("job.html", request, page=page, name=name)

    async def run(self, request: Request) -> Response:
        """Return the page of a run with its batches."""
        name, deployed = request.path_params["name"], self.deployed()
        after = parse_search(request.query_params).after
        try:
            page = await self.reader.read(lambda journal: run_page(journal, name, after, deployed))
        except BatchsyncError:
            return self.missing(request, f"run {name}")
        return self.html("run.html", request, page=page, name=name, after=after, span=span_words(page))

    async def batch(self, request: Request) -> Response:
        """Return the page of a batch with its events."""
        name, now = request.path_params["name"], self.backend.now()
        view = await self.reader.read(lambda journal: batch_view(journal, name, now))
        if view is None:
            return self.missing(request, f"batch {name}")
        return self.html("batch.html", request, view=view, batch=view.batch)

    async def rejects(self, request: Request) -> Response:
        """Return the page of rejects by reason, with some of them."""
        search = parse_search(request.query_params)
        if not search.job:
            listed = await self.reader.read(overview_page)
            return self.html("rejects_by_job.html", request, listed=listed)
        if request.query_params.get("values") and not self.access.shows_values(request.cookies):
            return self.html("values.html", request)
        mask = self.line_mask(request)
        page = await self.reader.read(lambda journal: rejects_page(journal, search, mask))
        return self.html(
            "rejects.html", request, page=page, search=page.search, query=query_of(page.search), **self.shown(request)
        )

    async def export(self, request: Request) -> Response:
        """Return rejects as CSV or JSON."""
        ending, search = request.path_params["ending"], parse_search(request.query_params)
        if ending not in ("csv", "json"):
            return self.missing(request, f"export of the format {ending}")
        kind = "text/csv; charset=utf-8" if ending == "csv" else "application/json"
        headers = {"content-disposition": f'attachment; filename="rejects.{ending}"'}
        parts = export(self.reader, search, self.line_mask(request), ending)
        return StreamingResponse(parts, media_type=kind, headers=headers)

    async def why(self, request: Request) -> Response:
        """Return the page with the state and history of one key."""
        key, job = request.query_params.get("key", "")[:_MAX_KEY], request.query_params.get("job", "")
        values: dict[str, Any] = {"key": key, "job": job, "text": "", "failure": "", **self.shown(request)}
        if not key:
            return self.html("why.html", request, **values)
        if request.query_params.get("values") and not values["values"]:
            return self.html("values.html", request)
        mask = self.mask(request)
        try:
            report = await self.reader.read(lambda journal: self.backend.why(key, job, journal, mask), consistent=False)
        except BatchsyncError as error:
            return self.html("why.html", request, HTTPStatus.NOT_FOUND, **values | {"failure": error.message})
        return self.html("why.html", request, **values | {"text": report.text(strip_ansi)})

    async def plan(self, request: Request) -> Response:
        """Return the page with the plan of a job as it was last compared for the page."""
        name = request.query_params.get("job", "")
        if name not in self.backend.jobs():
            return self.missing(request, f"job {name}")
        values = self.shown(request)
        if request.query_params.get("values") and not values["values"]:
            return self.html("values.html", request)
        last = await self.reader.read(lambda journal: journal.last_run(name))
        held = last if last is not None and last.state is RunState.AWAITING_APPROVAL else None
        found, text, same = self.backend.planned(name), "", False
        if found is not None:
            mask, report = self.mask(request), found.report
            report = replace(
                report,
                preview=mask.preview(name, report.preview),
                records=replace(report.records, mask=mask),
            )
            text, same = report.text(strip_ansi), held is not None and held.plan == report.plan.changes_digest
        return self.html(
            "plan.html", request, name=name, text=text, at=found.at if found else None, held=held, same=same, **values
        )

    async def history(self, request: Request) -> Response:
        """Return the page with plots of the last days."""
        job = request.query_params.get("job", "")
        chosen = days if (days := request.query_params.get("days", "")) in _DAYS else "30"
        deployed = self.deployed()
        plots = await self.reader.read(lambda journal: plots_of(journal, deployed, int(chosen), job or None))
        return self.html("history.html", request, plots=plots, job=job, days=chosen, choices=_DAYS)

    async def events(self, _: Request) -> Response:
        """Return a stream of what changes."""

        async def serial() -> int:
            return await self.reader.read(lambda journal: journal.serial)

        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self.live.stream(serial), media_type="text/event-stream", headers=headers)

    def shown(self, request: Request) -> dict[str, bool]:
        """Return whether the page shows values of rows."""
        return {"values": bool(request.query_params.get("values")) and self.access.shows_values(request.cookies)}

    def mask(self, request: Request) -> Mask:
        """Return what is masked: everything that may be a value, unless it was asked for."""
        personal = {name: job.source.personal for job in self.backend.jobs().values() for name in job.all_names}
        shown = self.shown(request)["values"]
        return Mask(active=not shown, show_values=shown, personal=personal)

    def line_mask(self, request: Request) -> Callable[[RejectLine], RejectLine]:
        """Return what masks rejects; with values, personal keys and their reasons stay masked."""
        personal = {name: job.source.personal for job in self.backend.jobs().values() for name in job.all_names}
        hidden, shown = Mask(active=True, personal=personal), self.shown(request)["values"]

        def masked(line: RejectLine) -> RejectLine:
            is_personal = hidden.key(line.job, line.reject.key) != line.reject.key
            return hidden.line(line) if is_personal or not shown else line

        return masked


def redirect(target: str) -> RedirectResponse:
    """Return a redirection after a form, to a page of this server."""
    safe = target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
    return RedirectResponse(safe, HTTPStatus.SEE_OTHER)
