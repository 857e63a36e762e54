"""`batchsync mocks serve`: starts the mocks as a separate process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchsync import spec
from batchsync.cli.command import SETTINGS, command
from batchsync.cli.exits import print_answer
from batchsync.cli.session import Answer, Session
from batchsync.errors import ExitCode, UnavailableError, UsageError
from batchsync.report.message import Message
from batchsync.vendors.bundled_mocks import check_installed, mocks_command, mocks_environ

if TYPE_CHECKING:
    from collections.abc import Callable


def _path(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Path(path_type=Path), metavar="PATH", help=text)


@command(
    "serve",
    example="batchsync mocks serve\nbatchsync mocks serve sitecore-cdp --port 8080 --profile storm --seed 7\n"
    "batchsync mocks serve ./acme",
)
@click.argument("vendors", nargs=-1, metavar="[VENDOR]...")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Where to listen (default: 127.0.0.1).")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", default=0, help="Port of the first vendor; 0: any (default)."
)
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="A further name of this machine, for /_mock/; repeatable."
)
@_path("--control-token-file", "File with the token of /_mock/ (default: BATCHSYNC_MOCKS_TOKEN, or a random one).")
@_path("--state-dir", "Folder for the state of the mocks (default: a temporary one).")
@_path("--ready-file", "Write addresses and credentials here, as JSON, once all ports are open.")
@click.option("--https", is_flag=True, help="Serve HTTPS with a certificate authority made for the purpose.")
@click.option(
    "--tls-name", multiple=True, metavar="NAME", help="With --https: a further name of the certificate; repeatable."
)
@_path("--ca-out", "With --https: copy the authority's certificate here.")
@click.option("--seed", type=int, metavar="N", help="Seed of IDs and tokens.")
@click.option("--https-only", is_flag=True, help="The same, in the vendors' words: plain HTTP is refused.")
@click.option("--profile", multiple=True, metavar="NAME", help="A fault profile, or a .yaml file of one; repeatable.")
@click.option(
    "--switch", multiple=True, metavar="VENDOR.NAME=VALUE", help="Set a switch that --list shows; repeatable."
)
@click.option(
    "--setting",
    multiple=True,
    metavar="VENDOR.NAME=VALUE",
    help="A setting of the account that a mock plays, as a connection has it; repeatable.",
)
@click.option("--list", is_flag=True, help="List the profiles and the switches, and serve nothing.")
@click.option("--auto", is_flag=True, help="Let their clock jump to the next change whenever a batch is asked for.")
@click.option("--clock", metavar="TIME", help="Start time of their clock, as in 2026-01-31T09:30:00Z.")
@click.option("--frozen", is_flag=True, help="Let their clock stand still until it is advanced.")
@click.option("--rate", type=float, metavar="N", help="Virtual seconds in one real second.")
def serve(session: Session, vendors: tuple[str, ...], **arguments: Any) -> int:
    """Serve the bundled vendors, or those that are named, until Ctrl-C.

    A folder with a vendor.yaml may stand for a name: its mock is made from the files of the folder.

    Prints addresses, credentials and the token of /_mock/ once all ports are open. `batchsync sync --mocks` starts
    its own mocks.

    Returns:
        The exit code.

    Raises:
        UsageError: If the mocks refuse their options.
        UnavailableError: If the mocks do not start.
    """
    check_installed()
    command = [*mocks_command(), *map(spec.named_source, vendors), "--exit-with-stdin", *_spell_arguments(arguments)]
    environ = mocks_environ("BATCHSYNC_MOCKS_TOKEN")
    if arguments["list"]:
        return subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - our own interpreter and our own program
    # A shell ignores SIGINT in background jobs, so the mocks would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The mocks watch their standard input and end when this process ends.
    ready_line = ""
    interrupted = False
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter and our own program
        try:
            ready_line = process.stdout.readline() if process.stdout else ""
            if ready_line:
                print_answer(Answer(report=_ready(json.loads(ready_line))), session)
                sys.stdout.flush()
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
            if process.stdin is not None:
                process.stdin.close()
            code = process.wait()
    if code == ExitCode.INVALID:
        raise UsageError("the mocks refused to start", hint="see the line above; `batchsync mocks serve --help`")
    if not ready_line and not interrupted:
        raise UnavailableError("the mocks did not start", hint="see the lines above; `batchsync mocks serve --help`")
    return ExitCode.DONE if code == 0 else ExitCode.UNEXPECTED


mocks = click.Group(
    "mocks",
    commands={"serve": serve},
    help="Run mocks of vendors.",
    context_settings=SETTINGS,
    no_args_is_help=True,
)


def _spell_arguments(arguments: dict[str, Any]) -> list[str]:
    """Return the options of the mocks program."""
    spelled: list[str] = []
    for name, value in arguments.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            spelled.append(option)
        elif isinstance(value, tuple):
            spelled += [word for item in value for word in (option, str(item))]
        elif value not in (None, False):
            spelled += [option, str(value)]
    return spelled


def _ready(ready: dict[str, Any]) -> Message:
    """Return the message with addresses, credentials and the token of the control API."""
    lines = []
    for name, item in ready["vendors"].items():
        credentials = ", ".join(f"{key} {value}" for key, value in item["credentials"].items())
        lines.append(f"{name}: {item['base_url']} ({credentials})")
    control = f"control API: /_mock/ on each port (control_token {ready['control_token']})"
    return Message(sentences=(*lines, control, "press Ctrl-C to stop"), facts=ready)
