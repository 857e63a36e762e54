"""The simulated network closes each response of a mock, whose open file would otherwise end in another test."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from werkzeug.wrappers import Response

from simulation.network import Network, NetworkFault

if TYPE_CHECKING:
    from collections.abc import Iterator


class Crash(BaseException):
    """A simulated crash."""


class Clock:
    """A clock that runs what is scheduled when it is advanced."""

    def __init__(self) -> None:
        self.scheduled: list[Any] = []

    def epoch(self) -> float:
        return 0.0

    def behind(self, _seconds: float) -> Any:
        return nullcontext()

    def schedule(self, _at: float, _name: str, call: Any) -> None:
        self.scheduled.append(call)

    def advance(self, _seconds: float) -> None:
        for call in self.scheduled:
            call()


def pieces(*, cut: bool) -> Iterator[bytes]:
    yield b"content"
    if cut:
        raise ConnectionResetError


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("", None),
        ("done_but_502", None),
        ("late", requests.ReadTimeout),
        ("crash", Crash),
        ("cut", ConnectionResetError),
    ],
)
def test_response_is_closed_however_the_call_ends(ending: str, error: type[BaseException] | None) -> None:
    closed = []

    def application(_request: object) -> Response:
        response = Response(pieces(cut=ending == "cut"))
        response.call_on_close(lambda: closed.append(True))
        return response

    def checkpoint(name: str) -> None:
        if ending == "crash" and name.startswith("http:after"):
            raise Crash

    clock: Any = Clock()
    server: Any = SimpleNamespace(application=application)
    network = Network({80: server}, {80: "vendor"}, clock, checkpoint)
    if ending in {"done_but_502", "late"}:
        network.arm(NetworkFault(ending, "vendor", "GET", ""))
    prepared = requests.Request("GET", "http://vendor.example:80/a").prepare()
    with pytest.raises(error) if error else nullcontext():
        network.send(prepared)
    assert closed
