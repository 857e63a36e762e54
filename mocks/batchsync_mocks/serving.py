"""The mocks on real sockets, the same object inside a test and standing alone: one port per vendor, one shared clock.

It does not know what any vendor answers. Uploads stream to disk and no body is kept, unlike in the stock
pytest_httpserver; a fault that closes a socket leaves no noise behind.
"""

from __future__ import annotations

import functools
import logging
import secrets
import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_httpserver import HTTPServer
from werkzeug.http import http_date
from werkzeug.serving import WSGIRequestHandler

from lading_mocks import control, disk, profiles, wire
from lading_mocks.clock import Clock
from lading_mocks.control import Kit
from lading_mocks.faults import Faults
from lading_mocks.memory import Memory
from lading_mocks.motorweb.api import Motorweb
from lading_mocks.profiles import Profile
from lading_mocks.running import Running
from lading_mocks.sitecore.api import Sitecore
from lading_mocks.switches import turned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from werkzeug.wrappers import Request, Response

    from lading_mocks.faults import Fault
    from lading_mocks.vendor import Vendor

__all__ = ["VENDORS", "MockServer", "Running", "serve"]
_log = logging.getLogger("lading_mocks")
VENDORS: Mapping[str, type[Vendor]] = {Motorweb.name: Motorweb, Sitecore.name: Sitecore}


class MockServer(HTTPServer):
    """One vendor's port."""

    def __init__(self, kit: Kit, vendor: Vendor, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Prepare the port; `start` opens it."""
        super().__init__(host, port, context, threaded=True)
        self._kit, self._vendor = kit, vendor

    def start(self) -> None:
        """Open the port and answer in the background.

        Raises:
            OSError: the port is taken, or the address is none of this machine's.
        """
        self._probe()
        super().start()
        if self.server is not None:
            self.server.RequestHandlerClass = functools.partial(_QuietHandler, clock=self._kit.clock)
        if self.server is not None and isinstance(self.server.socket, ssl.SSLSocket):
            # Otherwise one client that connects and says nothing would keep all others waiting.
            self.server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]  # typeshed leaves it out

    def _probe(self) -> None:
        # Werkzeug would end the whole process when it cannot have the port.
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host, self.port), family=family).close()
        except (OSError, OverflowError) as error:
            msg = f"Cannot listen on {self.host} port {self.port}: {error}. Choose another port, or 0 for any."
            raise OSError(msg) from error

    def thread_target(self) -> None:
        """Serve, looking often enough for the wish to stop that nobody waits for it."""
        if self.server is not None:
            self.server.serve_forever(poll_interval=0.02)

    def application(self, request: Request) -> Response:
        """Answer one request: a control page, or the vendor under the faults that are armed."""
        try:
            if f"{request.path}/".startswith(control.PREFIX):
                return control.respond(self._kit, self._vendor, request)
            name, method = self._vendor.name, request.method
            self._kit.requests.append(
                {"vendor": name, "method": method, "path": request.path, "at": self._kit.clock.now()},
            )
            return self._answer(request, self._kit.faults.strike(name, method, request.path))
        except (ConnectionError, TimeoutError, ssl.SSLError):
            # The client went away, or a fault closed its connection: no defect of the mock.
            raise
        except Exception:
            # The answer alone would hide a defect of the mock from whoever tests against it.
            _log.exception("The mock of %s failed at %s %s", self._vendor.name, request.method, request.path)
            raise

    def _answer(self, request: Request, striking: Sequence[Fault]) -> Response:
        entry = self._kit.transcript.begin(self._vendor.name, request, striking)
        answer = wire.suffer(request, striking, self._vendor)
        self._kit.transcript.answered(entry, request, answer)
        return answer


class _QuietHandler(WSGIRequestHandler):
    """Logs no request line, so signed queries stay out of logs; a socket that a fault closed is no error to it."""

    # A client that stops talking in mid-request does not hold a thread for ever.
    timeout = 120

    def __init__(self, *given: Any, clock: Clock) -> None:
        """Handle one connection; `clock` is what the Date header tells."""
        self._clock = clock
        super().__init__(*given)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Spell the vendor's moment, by which a Retry-After date is meant too."""
        return http_date(self._clock.now() if timestamp is None else timestamp)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
        """Log nothing: what fails here is the client's connection."""

    def run_wsgi(self) -> None:
        """Answer one request, and no second one on this connection: a fault may have closed it."""
        super().run_wsgi()
        self.close_connection = True


def serve(  # noqa: PLR0913 - the front door of the package: each argument is one free choice of its user
    vendors: Sequence[str] = tuple(VENDORS),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    state_dir: str | Path | None = None,
    https: bool = False,
    clock: Clock | None = None,
    seed: int | None = None,
    profile: str | Path | Sequence[str | Path] | None = None,
    switches: Mapping[str, Mapping[str, Any]] | None = None,
) -> Running:
    """Serve mocks of vendors, each on a port of its own.

    `port` is that of the first vendor, the others take the ones after it; 0 lets the system choose. With a `state_dir`
    a killed mock goes on where it was, on any port; its clock is then the remembered one. `seed` makes ids and tokens
    the same in every run, and decides what the chances of a `profile` bring; without one a seed is drawn for the
    profile (`Running.seed`). `switches` are turned by vendor, after those of the profile. With `https` a certificate
    authority is made (and kept in the state directory); `Running.ca` is the path of its certificate, and plain HTTP is
    not served, as at the vendors.

    Raises:
        ValueError: there is no such vendor, profile or switch, a switch does not take its value, or the state
            directory does not hold a mock's state.
        OSError: a port is taken, or the state directory cannot be written.
    """
    unknown = [name for name in vendors if name not in VENDORS]
    if unknown or not vendors:
        msg = f"No mock of {', '.join(unknown) or 'nothing'}; there are {', '.join(VENDORS)}."
        raise ValueError(msg)
    read = profiles.merged([profiles.profile(profile), Profile(switches=switches or {})])
    readings = _readings(vendors, read)
    folder = Path(tempfile.mkdtemp(prefix="lading-mocks-")) if state_dir is None else Path(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    clock = clock or Clock()
    clock.live_in(folder / "clock.json")
    chance = seed if seed is not None or not read.faults else secrets.randbelow(1 << 31)
    kit = Kit(
        clock=clock,
        vendors={name: VENDORS[name](Memory(folder / name, seed=seed), clock) for name in vendors},
        folder=folder,
        profile=read,
        faults=Faults(chance),
    )
    for name, vendor in kit.vendors.items():
        vendor.switches = readings[name]
    context, ca = _certified(folder, host) if https else (None, None)
    servers = {
        name: MockServer(kit, vendor, host, port + number if port else 0, context)
        for number, (name, vendor) in enumerate(kit.vendors.items())
    }
    running = Running(kit, servers, folder, temporary=state_dir is None, ca=ca)
    try:
        for server in servers.values():
            server.start()
    except BaseException:
        running.close()
        raise
    return running


def _readings(vendors: Sequence[str], read: Profile) -> dict[str, Any]:
    # Before anything is made: what is wrong leaves nothing behind.
    for name in set(read.switches) - set(VENDORS):
        msg = f"Switches are turned of {', '.join(VENDORS)}, not of {name[:60]!r}."
        raise ValueError(msg)
    return {name: turned(VENDORS[name].kind(), read.switches.get(name, {})) for name in vendors}


def _certified(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    # Only HTTPS needs trustme, and it takes longer to import than all the rest takes to start.
    import trustme  # noqa: PLC0415 - see the line above

    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and key.exists():
        authority = trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    else:
        authority = trustme.CA(organization_name="lading mocks")
        for file, pem in ((key, authority.private_key_pem), (certificate, authority.cert_pem)):
            with disk.replacing(file) as stream:
                stream.write(pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*dict.fromkeys([host, "localhost", "127.0.0.1", "::1"])).configure_cert(context)
    return context, certificate
