"""A small SMTP server on loopback that keeps what it receives, with STARTTLS, TLS, logins and faults."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator
    from email.message import EmailMessage
    from typing import Self


@dataclass(frozen=True)
class Mail:
    """A received e-mail, and how it came: over TLS, and after a login with user and password."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    login: tuple[str, str] | None


@dataclass
class SmtpServer:
    """The server.

    Attributes:
        context: TLS context for STARTTLS or TLS; None offers none.
        implicit: Whether connections begin with TLS.
        logins: Passwords by user; a login is offered if there are any.
        refused: Recipients that are refused.
        answers: Answers by command, instead of the usual ones, such as `DATA` to `554 no`.
        silent: Whether no connection is answered.
        mails: What was received.
    """

    context: ssl.SSLContext | None = None
    implicit: bool = False
    logins: dict[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    answers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    mails: list[Mail] = field(default_factory=list)
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[SmtpServer]:
        """Serve until the block ends."""
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, EOFError, ValueError), _Dialog(owner, self.request) as dialog:
                    dialog.run()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.ended.set()
                server.shutdown()
                thread.join()


class _Dialog:
    """One connection."""

    def __init__(self, server: SmtpServer, connection: socket.socket) -> None:
        self._server, self._socket = server, connection
        self._encrypted = False
        self._login: tuple[str, str] | None = None
        self._sender, self._recipients = "", list[str]()
        self._lines = connection.makefile("rb")

    def __enter__(self) -> Self:
        """Return the dialog."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()

    def run(self) -> None:
        """Answer commands until the client leaves."""
        if self._server.silent:
            self._server.ended.wait()
            return
        if self._server.implicit:
            self._encrypt()
        self._say("220 test")
        while line := self._lines.readline():
            command, _, rest = line.decode().strip().partition(" ")
            if not self._answered(command.upper(), rest):
                return

    def _answered(self, command: str, rest: str) -> bool:
        """Answer a command; return whether the connection goes on."""
        if command in self._server.answers:
            self._say(self._server.answers[command])
            return True
        match command:
            case "EHLO":
                self._say(*self._greeting())
            case "STARTTLS":
                self._say("220 go")
                self._encrypt()
            case "AUTH":
                self._authenticate(rest)
            case "MAIL":
                self._sender, self._recipients = _address(rest), []
                self._say("250 ok")
            case "RCPT" if _address(rest) in self._server.refused:
                self._say("550 no such user")
            case "RCPT":
                self._recipients.append(_address(rest))
                self._say("250 ok")
            case "DATA":
                self._receive()
            case "QUIT":
                self._say("221 bye")
                return False
            case _:
                self._say("250 ok")
        return True

    def _greeting(self) -> list[str]:
        offers = ["test"]
        if self._server.context is not None and not self._encrypted:
            offers.append("STARTTLS")
        if self._server.logins:
            offers.append("AUTH PLAIN")
        return [f"250{'-' if offer != offers[-1] else ' '}{offer}" for offer in offers]

    def _authenticate(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        if self._server.logins.get(user) != password:
            self._say("535 wrong password for user")
            return
        self._login = user, password
        self._say("235 ok")

    def _receive(self) -> None:
        self._say("354 go")
        content = b""
        while (line := self._lines.readline()) not in (b".\r\n", b""):
            content += line.removeprefix(b".") if line.startswith(b"..") else line
        message = message_from_bytes(content, policy=policy.default)
        self._server.mails.append(Mail(self._sender, tuple(self._recipients), message, self._encrypted, self._login))
        self._say("250 taken")

    def _encrypt(self) -> None:
        assert self._server.context is not None
        plain = self._socket
        self._socket = self._server.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._socket.do_handshake()
        self._lines.close()
        self._lines = self._socket.makefile("rb")
        self._encrypted = True

    def _say(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]
