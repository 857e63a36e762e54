"""`--git` and `--watch` of `batchsync serve`: which revision of the files of jobs the application uses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from batchsync.cli.durations import Duration
from batchsync.cli.exits import print_failure
from batchsync.deployments.checkouts import Checkouts
from batchsync.deployments.follower import Follower, Polling
from batchsync.deployments.git_branch import GitBranch
from batchsync.deployments.watched_folder import WatchedFolder
from batchsync.errors import BatchsyncError, UsageError
from batchsync.ports import OriginChecked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.deployments.checkouts import Checkout
    from batchsync.deployments.origin import Origin
    from batchsync.ports import Clock
    from batchsync.reconcile.serve import Controls
    from batchsync.reconcile.services import SelectedJob

Function = TypeVar("Function", bound="Callable[..., Any]")
_SHORTEST = timedelta(seconds=1)


def follow_options(function: Function) -> Function:
    """Add the options of what is followed to a command.

    Returns:
        The function, decorated.
    """
    options = (
        click.option("--git", metavar="URL#BRANCH", help="Follow a branch: load jobs.yaml of each new commit."),
        click.option(
            "--watch", metavar="FOLDER", type=click.Path(path_type=Path),
            help="Follow a folder that others replace, such as a mounted ConfigMap.",
        ),
        click.option(
            "--poll", metavar="DURATION", type=Duration(), default="1m", show_default=True,
            help="How often --git and --watch look for a change.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


class FollowOptions(TypedDict):
    """Values of the options of what is followed."""

    git: str | None
    watch: Path | None
    poll: timedelta


class Revisions:
    """The revisions that an application follows, and the one that it uses.

    Attributes:
        app: The application; its state folder does not change with the revision.
    """

    def __init__(self, session: Session, origin: Origin, every: timedelta) -> None:
        """Create the application in a state folder outside of all revisions. Nothing is read yet.

        Raises:
            UsageError: If a path leads out of the revisions, or the interval is too short.
        """
        if every < _SHORTEST:
            raise UsageError("--poll is shorter than a second", hint="write for example --poll 1m")
        given = session.settings()
        for path in (given.file, given.jobs):
            if path is not None and (path.is_absolute() or ".." in path.parts):
                raise UsageError(
                    f"{path} leads out of {origin.title}", hint="-f and --jobs name files of the repository or folder"
                )
        base = (given.state or Path(".batchsync")).absolute()
        settings = given.with_state(base)
        checkouts = Checkouts(settings.checkouts_folder)
        # Commands that messages advise read the active revision.
        session.options = session.options.merged({"file": checkouts.current / given.file, "state": base})
        self.app: App = session.new_app(settings)
        # Waits that the clock of mocks skips take no time.
        self._every = None if settings.skip_poll_wait else every
        self._session, self._file, self._jobs = session, given.file, given.jobs
        self._follower = Follower(origin, checkouts, Polling(session.now, every), self._tell)
        self._used: Checkout | None = None

    @property
    def revision(self) -> str:
        """The revision that the application uses, also while it is tried."""
        return self._used.revision if self._used is not None else ""

    def load_first(self) -> None:
        """Load the last good revision, or else the newest one.

        Raises:
            BatchsyncError: If neither can be loaded.
        """
        failures: list[BatchsyncError] = []
        for checkout in self._follower.first():
            self.use(checkout)
            try:
                self.app.jobs(())
            except BatchsyncError as error:
                failures.append(error)
            else:
                self._follower.activate(checkout, complete=False)
                return
        raise failures[-1]

    def newer(self) -> Checkout | None:
        """Return the newest revision if it is not active."""
        return self._follower.newer()

    def use(self, checkout: Checkout) -> Checkout:
        """Let the application read the files of a revision.

        Returns:
            The revision that it used before.
        """
        before, self._used = self._used or checkout, checkout
        self.app.use_file(checkout.folder / self._file, checkout.folder / self._jobs if self._jobs else None)
        return before

    def note(self, *, complete: bool) -> None:
        """Note that the revision in use is active.

        Args:
            complete: Whether all of its jobs are active.
        """
        if self._used is not None:
            self._follower.activate(self._used, complete=complete)

    def controls(self, clock: Clock, inner: Controls | None) -> Controls:
        """Return controls of the loop that end its waits when the origin is to be asked.

        Args:
            clock: The clock of the loop.
            inner: Further controls.
        """
        return _PollingControls(clock, inner, self._every)

    def _tell(self, error: BatchsyncError | None) -> None:
        """Print and emit that the origin cannot be asked, or can again."""
        found = print_failure(error, self._session).data() if error is not None else None
        self.app.events.emit(OriginChecked(origin=self._follower.title, error=found))


class _PollingControls:
    """Controls of the loop whose waits are at most as long as the interval of polls."""

    def __init__(self, clock: Clock, inner: Controls | None, every: timedelta | None) -> None:
        self._clock, self._inner, self._every = clock, inner, every

    def take(self, contexts: Sequence[SelectedJob]) -> Collection[str]:
        """Return what the inner controls ask for."""
        return self._inner.take(contexts) if self._inner is not None else ()

    def rest(self, duration: timedelta) -> None:
        """Wait, at most until the origin is to be asked."""
        shortened = duration if self._every is None else min(duration, self._every)
        if self._inner is not None:
            self._inner.rest(shortened)
        else:
            self._clock.sleep(shortened)


def followed(session: Session, *, git: str | None, watch: Path | None, poll: timedelta) -> Revisions | None:
    """Return what a command follows; None if it reads the jobs file where it is.

    Args:
        session: The session of the command.
        git: Repository and branch.
        watch: A folder.
        poll: How often they are asked.

    Raises:
        UsageError: If both are given, or one cannot be followed.
    """
    if git is not None and watch is not None:
        raise UsageError("--git and --watch exclude each other", hint="choose one of them")
    if git is not None:
        return Revisions(session, GitBranch.parse(git), poll)
    return Revisions(session, WatchedFolder.of(watch), poll) if watch is not None else None
