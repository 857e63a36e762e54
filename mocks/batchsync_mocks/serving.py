"""HTTP servers of the mocks, used by tests and by the command line: a port per vendor, and a shared clock.

Uploads are streamed to disk and no bodies are kept, unlike in the stock pytest_httpserver; sockets closed by faults
log no errors.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import secrets
import shlex
import socket
import ssl
import stat
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_httpserver import HTTPServer

from batchsync_mocks import certificates, control, disk, profiles, responses, snapshots, wire
from batchsync_mocks.access import control_access
from batchsync_mocks.clock import Clock
from batchsync_mocks.connections import Handler, OpenConnections
from batchsync_mocks.control import MockContext
from batchsync_mocks.faults import Faults
from batchsync_mocks.generic import vendor_class
from batchsync_mocks.motorweb.api import Motorweb
from batchsync_mocks.profiles import Profile
from batchsync_mocks.running import Running
from batchsync_mocks.sitecore.api import Sitecore
from batchsync_mocks.switches import with_switches
from batchsync_mocks.vendor_state import VendorState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from werkzeug.wrappers import Request, Response

    from batchsync_mocks.faults import Fault
    from batchsync_mocks.vendor import Vendor

__all__ = ["VENDORS", "MockServer", "Running", "serve"]
_log = logging.getLogger("batchsync_mocks")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
VENDORS: Mapping[str, type[Vendor]] = {Motorweb.name: Motorweb, Sitecore.name: Sitecore}


class MockServer(HTTPServer):
    """HTTP server of a vendor."""

    def __init__(self, context: MockContext, vendor: Vendor, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Configure the server; `start` opens its port."""
        super().__init__(host, port, tls, threaded=True)
        self._context, self._vendor = context, vendor
        self._connections = OpenConnections()

    def start(self) -> None:
        """Open the port and serve in the background.

        Raises:
            OSError: If the port is in use, or the address does not belong to this machine.
        """
        self._check_port()
        super().start()
        if self.server is not None:
            self._connections = OpenConnections()
            self.server.RequestHandlerClass = functools.partial(
                Handler, clock=self._context.clock, connections=self._connections
            )
        if self.server is not None and isinstance(self.server.socket, ssl.SSLSocket):
            # Otherwise a client that connects and sends nothing blocks all others.
            self.server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]  # typeshed leaves it out

    def stop(self) -> None:
        """Close the port, and the connections that wait for a request."""
        super().stop()
        self._connections.stop()

    def _check_port(self) -> None:
        """Raise if the port cannot be opened."""
        # Werkzeug exits the process if the port is in use.
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host, self.port), family=family).close()
        except (OSError, OverflowError) as error:
            msg = f"Cannot listen on {self.host} port {self.port}: {error}. Choose another port, or 0 for any."
            raise OSError(msg) from error

    def thread_target(self) -> None:
        """Serve, polling for shutdown often enough that `stop` returns at once."""
        if self.server is not None:
            self.server.serve_forever(poll_interval=0.02)

    def application(self, request: Request) -> Response:
        """Return the response to a request: of a control page, or of the vendor under the armed faults.

        Raises:
            ConnectionError: If the client or a fault closed the connection.
            TimeoutError: If the client stopped in the middle of a request.
            ssl.SSLError: If the TLS connection broke.
        """
        try:
            if f"{request.path}/".startswith(control.PREFIX):
                return control.respond(self._context, self._vendor, request)
            return self._recorded_response(request)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            # The client disconnected, or a fault closed its connection: not a defect of the mock.
            raise
        except Exception:
            # Log it: a mere status 500 would hide a defect of the mock from its users.
            _log.exception("The mock of %s failed at %s %s", self._vendor.name, request.method, request.path)
            raise

    def _recorded_response(self, request: Request) -> Response:
        """Return the vendor's response under the armed faults, and record the request with its outcome."""
        name, method, path = self._vendor.name, request.method, request.path
        active_faults = self._context.faults.hits(name, method, path)
        entry: dict[str, Any] = {"vendor": name, "method": method, "path": path, "at": self._context.clock.now()}
        entry |= {"status": None, "faults": [fault.kind for fault in active_faults], "problem": ""}
        self._context.requests.append(entry)
        try:
            response = self._respond(request, active_faults)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            entry["problem"] = "the connection was closed without a response"
            raise
        except Exception:
            entry |= {"status": 500, "problem": "the mock failed; its log has the reason"}
            raise
        entry |= {"status": response.status_code, "problem": responses.problem_of(response)}
        return response

    def _respond(self, request: Request, active_faults: Sequence[Fault]) -> Response:
        """Return the vendor's response under faults, and record both in the transcript."""
        entry = self._context.transcript.begin(self._vendor.name, request, active_faults)
        response = wire.apply_faults(request, active_faults, self._vendor)
        self._context.transcript.complete(entry, request, response)
        return response


def serve(  # noqa: PLR0913 - the entry point of the package; the options are independent
    vendors: Sequence[str] = tuple(VENDORS),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    state_dir: str | Path | None = None,
    https: bool = False,
    tls_names: Sequence[str] = (),
    clock: Clock | None = None,
    seed: int | None = None,
    control_token: str | None = None,
    allow_hosts: Sequence[str] = (),
    profile: str | Path | Sequence[str | Path] | None = None,
    switches: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> Running:
    """Serve mocks of vendors, each on its own port.

    Args:
        vendors: Vendors to serve: names; folders with a `vendor.yaml`, whose paths contain `/` or `.`; or `NAME=FOLDER`
            for the mock of that name, or that of the folder if there is none.
        host: Address to listen on.
        port: Port of the first vendor; the others follow. 0 lets the system choose.
        state_dir: Folder from which a killed mock resumes, clock included; None for a temporary one.
        https: Whether to serve HTTPS only, with a generated certificate authority (`Running.ca`).
        tls_names: Further names of the certificate, besides `host` and those of the loopback interface: a client that
            resolves the name of a vendor to this machine finds a certificate of that name.
        clock: The shared clock; default: real time.
        seed: Makes ids, tokens and the random draws of faults the same in every run. Without a seed, a profile gets a
            random seed (`Running.seed`).
        control_token: Token that the control API demands; default: a random one (`Running.control_token`).
        allow_hosts: Names and addresses by which clients may address the control API, besides loopback ones, `host`
            and the address that they are connected to.
        profile: Fault profiles; see `profiles.profile`.
        switches: Switches by vendor, applied after those of the profile.
        settings: Settings of a connection, by vendor: the account that the mock plays. Those that are not given are
            open. A mock that was written by hand has them as switches, which `profile` and `switches` change.

    Returns:
        The handle of the running mocks.

    Raises:
        ValueError: If a vendor, profile or switch is unknown, a switch does not accept its value, the token, a host or
            a name is invalid, or the state directory is.
        OSError: If a port is in use, or the state directory cannot be written.
    """
    account = settings or {}
    served = vendor_classes(vendors, account)
    chosen = Profile(switches=setting_switches(served, account))
    active_profile = profiles.merged([chosen, profiles.profile(profile), Profile(switches=switches or {})])
    vendor_switches = _switches_by_vendor(served, active_profile)
    certificates.check_names(tls_names, https=https)
    access = control_access(control_token, host, allow_hosts)
    folder = (
        Path(tempfile.mkdtemp(prefix="batchsync-mocks-"))
        if state_dir is None
        else _state_folder(Path(state_dir), served)
    )
    snapshots.complete(folder)
    clock = clock or Clock()
    clock.persist_to(folder / "clock.json")
    fault_seed = seed if seed is not None or not active_profile.faults else secrets.randbelow(1 << 31)
    context = MockContext(
        clock=clock,
        vendors={name: kind(VendorState(folder / name, seed=seed), clock) for name, kind in served.items()},
        folder=folder,
        access=access,
        profile=active_profile,
        faults=Faults(fault_seed),
    )
    for name, vendor in context.vendors.items():
        vendor.switches = vendor_switches[name]
    tls, ca = certificates.tls_context(folder, host, tls_names) if https else (None, None)
    servers = {
        name: MockServer(context, vendor, host, port + number if port else 0, tls)
        for number, (name, vendor) in enumerate(context.vendors.items())
    }
    running = Running(context, servers, folder, temporary=state_dir is None, ca=ca)
    try:
        for server in servers.values():
            server.start()
    except BaseException:
        running.close()
        raise
    return running


def vendor_classes(
    vendors: Sequence[str], settings: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, type[Vendor]]:
    """Return the mocks of vendors by name.

    Args:
        vendors: As for `serve`.
        settings: As for `serve`.

    Raises:
        ValueError: If a vendor is unknown or named twice, or its folder cannot be read.
    """
    served: dict[str, type[Vendor]] = {}
    for vendor in vendors:
        kind = _vendor_class(vendor, settings or {})
        if kind.name in served:
            msg = f"The vendor {kind.name} is named twice."
            raise ValueError(msg)
        served[kind.name] = kind
    if not served:
        msg = f"Unknown vendor (none given); available: {', '.join(VENDORS)}, or a folder with a vendor.yaml."
        raise ValueError(msg)
    return served


def setting_switches(
    served: Mapping[str, type[Vendor]], settings: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return the settings that are switches of mocks, by vendor and name.

    Args:
        served: Mocks by name.
        settings: As for `serve`; lists and objects are JSON.

    Raises:
        ValueError: If the vendor of a setting is not served.
    """
    if unknown := sorted(set(settings) - set(served)):
        msg = f"Settings of vendor {unknown[0][:60]!r}, which is not served; served: {', '.join(served)}."
        raise ValueError(msg)
    found: dict[str, dict[str, Any]] = {}
    for vendor, values in settings.items():
        known = {item.name for item in fields(served[vendor].switches_type)}
        chosen = {name: text for name, text in values.items() if name in known}
        found[vendor] = {name: json.loads(text) if text[:1] in "[{" else text for name, text in chosen.items()}
        if "attributes" in chosen:
            # The client passes what its file lists; the switch has the form of the file.
            found[vendor]["attributes"] = {"version": 1, "records": found[vendor]["attributes"]}
    return found


def _vendor_class(vendor: str, settings: Mapping[str, Mapping[str, str]]) -> type[Vendor]:
    """Return the mock of a vendor, as `serve` takes it."""
    name, equals, folder = vendor.partition("=")
    if not equals or not _NAME.fullmatch(name):
        name, folder = vendor, vendor
    if name in VENDORS:
        return VENDORS[name]
    if "/" in folder or "." in folder:
        # The name of a folder is known when its files are read.
        chosen = settings.get(name) or settings.get(Path(folder).name) or {}
        return vendor_class(folder, chosen)
    msg = f"Unknown vendor {vendor}; available: {', '.join(VENDORS)}, or a folder with a vendor.yaml."
    raise ValueError(msg)


def _state_folder(folder: Path, served: Iterable[str]) -> Path:
    """Create a state directory, or make the files of an existing one private; warn if others may use the directory."""
    disk.make_private(folder)
    for name in {*VENDORS, *served}:
        if (folder / name).is_dir():
            disk.narrow(folder / name)
    for name in (snapshots.CLOCK, "ca.key"):
        if (folder / name).is_file():
            disk.narrow(folder / name)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & disk.OTHERS:
        # It may contain other files, or be the working directory: its mode is its owner's decision.
        text = "The state directory %s has mode %o: other users may enter it. Its files are private. Next: chmod 700 %s"
        _log.warning(text, folder, mode, shlex.quote(str(folder)))
    return folder


def _switches_by_vendor(served: Mapping[str, type[Vendor]], active_profile: Profile) -> dict[str, Any]:
    """Return the validated switches of each vendor."""
    # Validated first, so that an error leaves no files behind.
    known = {**VENDORS, **served}
    for name in set(active_profile.switches) - set(known):
        msg = f"Switches of unknown vendor {name[:60]!r}; available: {', '.join(known)}."
        raise ValueError(msg)
    return {
        name: with_switches(kind.switches_type(), active_profile.switches.get(name, {}))
        for name, kind in served.items()
    }
