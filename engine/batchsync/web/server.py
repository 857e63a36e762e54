"""The server of the page: uvicorn in a thread of the process, with the rules of access around all routes."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from batchsync.errors import BatchsyncError, UnavailableError
from batchsync.util.files import os_error_reason
from batchsync.web.forms import Forms
from batchsync.web.guard import Guard
from batchsync.web.reader import JournalReader
from batchsync.web.remembered import Remembered
from batchsync.web.render import STATIC, environment
from batchsync.web.routes import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from batchsync.web.access import Access
    from batchsync.web.backend import Backend

    #: Returns the body of a document and its content type.
    Document = Callable[[], tuple[bytes, str]]

#: Seconds for which an end of the process waits for the server.
_STOP = 0.5


class PageServer:
    """The page of a running `serve`. Context manager: it listens inside of the block."""

    def __init__(
        self,
        access: Access,
        backend: Backend,
        *,
        documents: Mapping[str, Document] | None = None,
        warn: Callable[[str], None],
    ) -> None:
        """Prepare the server; it listens when the block begins.

        Args:
            access: Rules of access, with the address.
            backend: The process that serves the page.
            documents: Further documents by path, such as `/metrics`; protected like pages.
            warn: Prints a warning.
        """
        self.access = access
        self._backend = backend
        self._documents = dict(documents or {})
        self._reader = JournalReader(backend.state_folder)
        self.live = backend.live
        pages = Pages(
            backend=backend,
            reader=self._reader,
            live=backend.live,
            access=access,
            templates=environment(),
            remembered=Remembered(),
        )
        forms = Forms(pages)
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            *(Route(path, self._document, name=path) for path in self._documents),
            Mount("/static", StaticFiles(directory=STATIC)),
            *pages.routes(),
            *forms.routes(),
        ]
        self._app = Guard(Starlette(routes=routes), access, pages, warn)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Return the server, which listens now.

        Raises:
            UnavailableError: If the address cannot be used.
        """
        listening = _listen(self.access.address.host, self.access.address.port)
        host, port = listening.getsockname()[:2]
        self.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=200,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=32 * 1024,
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=(server, listening), name="batchsync-web", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop listening; requests that are being answered have a moment."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self.live.close()
            self._thread.join(_STOP)
        self._reader.close()

    def _run(self, server: uvicorn.Server, listening: socket.socket) -> None:
        async def serve() -> None:
            self.live.attach(asyncio.get_running_loop())
            await server.serve(sockets=[listening])

        with suppress(asyncio.CancelledError), listening:
            asyncio.run(serve())

    async def _healthz(self, _: Request) -> Response:
        """Answer whether the process lives and its loop turns."""
        alive = self._backend.health.is_healthy()
        status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
        return PlainTextResponse("ok\n" if alive else "the loop does not turn\n", status)

    async def _readyz(self, _: Request) -> Response:
        """Answer whether jobs are loaded and the journal opens."""
        if not self._backend.health.loaded:
            return PlainTextResponse("jobs are not loaded yet\n", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            await self._reader.read(lambda journal: journal.serial)
        except BatchsyncError:
            return PlainTextResponse("the journal cannot be read\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok\n")

    async def _document(self, request: Request) -> Response:
        """Answer with a further document."""
        make = self._documents[request.url.path]
        content, kind = await asyncio.get_running_loop().run_in_executor(None, make)
        return Response(content, media_type=kind)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UnavailableError: If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts at once only over sockets that name their protocol.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        reason = os_error_reason(error) if isinstance(error, OSError) else "there is no such port"
        raise UnavailableError(
            f"--page {host}:{port} cannot be used: {reason}",
            hint="end the process that uses the port, or name another: `batchsync serve --page 127.0.0.1:8322`",
            name="environment.page",
        ) from None
    return listening
