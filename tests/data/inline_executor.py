"""An executor that runs each task at once, on copies as another process receives them."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from kit.dying_workers import pickled

if TYPE_CHECKING:
    from collections.abc import Callable


class Inline(Executor):
    """Executor that runs each task at once, on pickled copies."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert not kwargs
        future: Future[Any] = Future()
        called, given = pickled((fn, args))
        self.tasks += given
        try:
            future.set_result(pickled(called(*given)))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(pickled(error))
        return future
