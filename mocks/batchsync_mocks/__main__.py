"""`python -m batchsync_mocks`: serve mocks until a signal or the end of standard input stops them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync_mocks import disk, profiles
from batchsync_mocks.access import VARIABLE
from batchsync_mocks.clock import Clock
from batchsync_mocks.generic.switches import GenericSwitches
from batchsync_mocks.motorweb.switches import MotorwebSwitches
from batchsync_mocks.serving import VENDORS, serve
from batchsync_mocks.sitecore.switches import SitecoreSwitches
from batchsync_mocks.switches import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync_mocks.running import Running


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or, with `--exit-with-stdin`, the end of standard input.

    Returns:
        Exit code: 0, 2 for invalid options, or 3 for an error of the machine.
    """
    options = _parser().parse_args(arguments)
    if options.list:
        sys.stdout.write(_profiles_and_switches())
        return 0
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    try:
        _check_overwrite(options)
        clock = Clock(options.clock, frozen=options.frozen, rate=options.rate, auto=options.auto)
        running = serve(
            options.vendors or tuple(VENDORS),
            host=options.host,
            port=options.port,
            state_dir=options.state_dir,
            https=options.https or options.https_only,
            tls_names=options.tls_name,
            clock=clock,
            seed=options.seed,
            control_token=_control_token(options),
            allow_hosts=options.allow_host,
            profile=options.profile,
            switches=_switches(options.switch),
            settings=_settings(options.setting),
        )
    except (OSError, ValueError) as error:
        return _report_error(error)
    with running:
        try:
            _write_ready(running, options)
        except OSError as error:
            return _report_error(error)
        if options.exit_with_stdin:
            threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), daemon=True).start()
        stop.wait()
    return 0


def _report_error(error: OSError | ValueError) -> int:
    """Print an error that prevents serving; return 2 for invalid options, 3 for an error of the machine."""
    sys.stderr.write(f"batchsync_mocks: {error}\n")
    return 3 if isinstance(error, OSError) else 2


def _write_ready(running: Running, options: argparse.Namespace) -> None:
    """Print the ready information, and write the ready file and the certificate if requested."""
    ready = running.ready()
    if options.ca_out is not None and running.ca is not None:
        with disk.atomic_write(options.ca_out) as stream:
            stream.write(running.ca.read_bytes())
        # Other users may read the certificate, but not replace it, whatever the umask.
        options.ca_out.chmod(0o644)
        ready["ca"] = str(options.ca_out.resolve())
    if options.ready_file is not None:
        disk.write_json(options.ready_file, ready)
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def _control_token(options: argparse.Namespace) -> str | None:
    """Return the control token from its file or the environment; None draws one at random.

    Raises:
        OSError: If the file cannot be read.
    """
    if options.control_token_file is not None:
        return str(options.control_token_file.read_text(encoding="utf-8", errors="replace").strip())
    return os.environ.get(VARIABLE) or None


def _check_overwrite(options: argparse.Namespace) -> None:
    """Check that the files to be written are absent or were written by an earlier start.

    Raises:
        ValueError: If another file exists at a path that is to be written.
    """
    for file, markers in (
        (options.ready_file, (b'"vendors"', b'"clock_url"')),
        (options.ca_out, (b"-----BEGIN CERTIFICATE",)),
    ):
        if file is None or not os.path.lexists(file):
            continue
        content = file.read_bytes() if file.is_file() else None
        if content is None or (content and not all(marker in content for marker in markers)):
            msg = f"{file} already exists and was not written by the mocks; nothing was written. Name another file."
            raise ValueError(msg)


def _switches(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the switches set on the command line, by vendor and name."""
    switches: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        vendor, dot, name = target.partition(".")
        if not equals or not dot:
            msg = f"{assignment[:60]!r} sets no switch; write it like sitecore-cdp.allocate_status=201."
            raise ValueError(msg)
        try:
            value = profiles.read_yaml(Path(text[1:])) if text.startswith("@") else json.loads(text)
        except json.JSONDecodeError:
            value = text
        switches.setdefault(vendor, {})[name] = value
    return switches


def _settings(assignments: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of accounts on the command line, by vendor and name."""
    found: dict[str, dict[str, str]] = {}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        vendor, dot, name = target.partition(".")
        if not equals or not dot:
            msg = f"{assignment[:60]!r} is no setting; write it like motorweb-bdp.status_by=batch."
            raise ValueError(msg)
        found.setdefault(vendor, {})[name] = text
    return found


def _profiles_and_switches() -> str:
    """Return the text of `--list`."""
    lines = ["profiles:"]
    lines += [f"  {name}: {profiles.profile(name).about}" for name in profiles.names()]
    for vendor, switches_type in (
        ("motorweb-bdp", MotorwebSwitches),
        ("sitecore-cdp", SitecoreSwitches),
        ("vendors of folders", GenericSwitches),
    ):
        lines.append(f"switches of {vendor}:")
        lines += [
            f"  {name}={default} ({values}): {description}"
            for name, default, values, description in describe(switches_type)
        ]
    return "\n".join(lines) + "\n"


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    """Set the event when standard input ends."""
    # The pipe closes when the parent process ends, even after a kill.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m batchsync_mocks", description="Serve mocks of file-batch vendors.")
    add = parser.add_argument
    vendors = f"vendors to serve (default: all): {', '.join(VENDORS)}, or a folder with a vendor.yaml, such as ./acme"
    add("vendors", nargs="*", metavar="vendor", help=vendors)
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port of the first vendor, the others follow; 0: any (default)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this machine that the control API may be reached by; may be repeated",
    )
    add(
        "--control-token-file",
        type=Path,
        help=f"file with the token of the control API (default: the variable {VARIABLE}, or a random one)",
    )
    add("--state-dir", type=Path, help="folder to keep state in and to resume from (default: a temporary one)")
    add("--ready-file", type=Path, help="write addresses and credentials here, as JSON, once all ports are open")
    add(
        "--https", action="store_true", help="serve HTTPS with a generated certificate authority; plain HTTP is refused"
    )
    add(
        "--tls-name",
        action="append",
        default=[],
        metavar="NAME",
        help="with --https: a further name of the certificate, like api.boxever.com; may be repeated",
    )
    add("--ca-out", type=Path, help="with --https: copy the authority's certificate here")
    add("--exit-with-stdin", action="store_true", help="stop when standard input ends")
    add("--https-only", action="store_true", help="alias of --https")
    add("--seed", type=int, help="seed of ids, tokens and faults, for repeatable runs")
    add("--profile", action="append", default=[], help="a fault profile, or the path of a .yaml file; may be repeated")
    add(
        "--switch",
        action="append",
        default=[],
        metavar="VENDOR.NAME=VALUE",
        help="set a switch; may be repeated; @FILE is the content of a YAML file",
    )
    add(
        "--setting",
        action="append",
        default=[],
        metavar="VENDOR.NAME=VALUE",
        help="a setting of the account that a mock plays, as a connection has it; may be repeated",
    )
    add("--list", action="store_true", help="list profiles and switches, and exit")
    add("--clock", help="start of the clock, like 2026-01-31T09:30:00Z (default: real time)")
    add("--frozen", action="store_true", help="stop the clock until it is advanced")
    add("--auto", action="store_true", help="advance the clock to the next status change whenever a batch is polled")
    add("--rate", type=float, default=1.0, help="virtual seconds per real second (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
