"""One seed: some lives in trouble, then a time without trouble in which everything must settle, then the judgement."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.errors import EnvironmentProblem, ExitCode, LockedError, UsageError
from lading.journal import Journal
from lading.journal.lease import is_held, unlock
from lading.reconcile.cancel import cancel
from lading.reconcile.loop import Patience
from lading.reconcile.sync import JobOutcome, resume, sync
from lading_mocks.clock import Clock
from lading_mocks.control import Kit
from lading_mocks.memory import Memory
from lading_mocks.serving import VENDORS, MockServer
from simulation import oracle, person, states
from simulation.armed import Armed, Damage
from simulation.clock import START, VirtualTime
from simulation.deployment import VENDOR_OF, Sources
from simulation.life import Crash, Fuse, Process, process
from simulation.report import Report
from simulation.restored import MOMENTS, TAKES, Copy
from simulation.trouble import CRASHES, PLACES, STOPS, draw_faults
from simulation.wire import Network, plugged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading_mocks.vendor import Vendor
    from simulation.trouble import Planned

#: passes within which everything must be at rest once the trouble is over
MOST_PASSES = 8
#: virtual hours within which that must be so: the vendors' pace, their poll intervals and the longest back-off
MOST_HOURS = 36.0
#: how a process ends whose job has come to rest
_AT_REST = (ExitCode.DONE, ExitCode.REJECTS)


class Play:
    """One seed in one folder, which is emptied first."""

    def __init__(self, seed: int, folder: Path) -> None:
        """Set the stage: sources, vendors, clock."""
        self.draw = random.Random(seed)  # noqa: S311 - a seed is what it is for
        self.folder, self.state = folder, folder / "state"
        _emptied(folder)
        self.report = Report(seed)
        clock = Clock(START, frozen=True)
        self.kit = Kit(
            clock=clock,
            vendors={name: VENDORS[name](Memory(folder / "vendors" / name, seed=seed), clock) for name in VENDORS},
            folder=folder / "vendors",
        )
        self.time = VirtualTime(clock)
        names = ("vehicles", "guests", "members") if self.draw.random() < 0.25 else ("vehicles", "guests")
        self.sources = Sources(folder, self.draw, names)
        self.sources.begin()
        self.rows_max = self.draw.choice([1, 2, 3, 50])
        servers = {port: MockServer(self.kit, self.kit.vendors[name], "127.0.0.1", port, None) for name, port in _PORTS}
        self.network = Network(
            servers=servers,
            names={port: name for name, port in _PORTS},
            clock=self.time,
            checkpoint=self._checkpoint,
            told=self.told,
        )
        self.armed, self.damage = Armed(self.kit, self.network), Damage()
        self.fuse = Fuse()
        #: batches whose vendor kept back what became of rows; those whose books stood before that are not among them
        self.doubtful: set[str] = set()
        self._booked: set[str] = set()
        #: vendors that denied a batch which they had
        self.forgetful: set[str] = set()
        self.anew = 0

    @property
    def vendors(self) -> Mapping[str, Vendor]:
        """Return the vendors' side."""
        return self.kit.vendors

    def told(self, what: str) -> None:
        """Write a line of the transcript, in which the folder has no name: it is another one in each process."""
        what = what.replace(str(self.folder), "FOLDER")
        self.report.transcript.append(f"{self.time.epoch():.3f} {what}")

    def run(self) -> Report:
        """Play the seed to its end and judge it."""
        try:
            with plugged(self.network):
                for number in range(self.draw.randint(2, 4)):
                    self._between(number)
                    self._life()
                self._calm()
                self._settle()
                self._judge()
                self._speak()
        except Exception as error:  # noqa: BLE001 - whatever comes up here is what the simulation looks for
            self._violated(f"{type(error).__name__}: {error}")
        finally:
            self.report.digest = hashlib.blake2b("\n".join(self.report.transcript).encode()).hexdigest()
        return self.report

    def _checkpoint(self, name: str) -> None:
        self.fuse.checkpoint(name)

    def _violated(self, what: str) -> None:
        self.report.violations.append(what)
        self.told(f"VIOLATION {what}")

    # the time of trouble

    def _between(self, number: int) -> None:
        """What people and time do between two lives."""
        if number == 0:
            return
        for _ in range(self.draw.choice([0, 0, 1, 2, 3])):
            self.told(self.sources.edit())
        if self.draw.random() < 0.12:
            self.told(self.sources.edit_spec())
            if self._open_somewhere():
                self._sometimes("the spec was edited with batches in flight")
        self.time.pass_by(self.draw.choice([0, 0, 0, 0.5, 20, 90, 400, 1500, 4000, 90_000, 260_000]))

    def _life(self) -> None:
        """One process in trouble, which may die."""
        planned = draw_faults(self.draw)
        self.report.planned.update(one.name for one in planned)
        self.armed.arm(planned)
        self._note_states()
        crash = self.draw.random() < 0.75
        pattern = self.draw.choice(CRASHES) if crash else None
        nth = self.draw.randint(1, 80) if pattern == "" else self.draw.choice([1, 1, 2, 2, 3, 4, 6, 9])
        wait = self.draw.random() < 0.8
        anew = self.draw.random() < 0.75
        self.told(
            f"life: crash {pattern!r} {nth}, wait {wait}, anew {anew}, "
            f"faults {[(one.name, one.place) for one in planned]}"
        )
        withdrawing = self.draw.random() < 0.06
        if self.draw.random() < 0.06:
            self._tamper()
        fuse = Fuse(pattern, nth, told=self.told)
        if not withdrawing and self.draw.random() < 0.1:
            unlocked = self.draw.random() < 0.7
            at, which = self.draw.choice(STOPS), self.draw.choice([1, 1, 2, 3, 5])
            fuse.stop = (at, which, lambda: self._stopped(fuse, unlocked=unlocked))
        copy = Copy(self.state, self.folder / "kept")
        if not (withdrawing or fuse.stop or self.damage.done) and self.draw.random() < 0.3:
            fuse.stop = (self.draw.choice(MOMENTS), self.draw.choice([1, 1, 2, 2, 3, 4, 5]), copy.take)
        self._pass(fuse, anew=anew, wait=wait, withdrawing=withdrawing, trusted=False)
        if fuse.wrote:
            self._violated(f"a process whose job was taken away still wrote: {fuse.wrote[0]}")
        self._after(self.armed.disarm(planned))
        self.damage.mend()
        self._put_back(copy)

    def _put_back(self, copy: Copy) -> None:
        """Let a person restore the state folder from a copy that is older than what was done since."""
        if copy.put_back(self.sources.names, self._batches()):
            self.time.pass_by(TAKES)
            self.told("the state folder was restored from a copy")
            self._sometimes("the state folder was restored from a copy")
            self._booked = {one.id for one in self._batches(lambda one: one.books is not None)}

    def _stopped(self, fuse: Fuse, *, unlocked: bool) -> None:
        """Let another process run while this one is stopped, after somebody unlocked its jobs or without."""
        self._sometimes("a holder was stopped" + (" and unlocked" if unlocked else ""))
        # It may have been stopped before it came to its other jobs: those are anybody's.
        held = {name for name in self.sources.names if is_held(self.state, name)}
        if unlocked:
            with Journal.open(self.state) as journal:
                for name in self.sources.names:
                    unlock(journal, self.state, name, self.time.now())
        mine, sleeps = self.fuse, self.time.sleeps
        outcomes = self._pass(
            Fuse(told=self.told), anew=self.draw.random() < 0.5, wait=True, trusted=False, locked=not unlocked
        )
        self.fuse, self.time.sleeps = mine, sleeps
        if not unlocked and any(one.exit_code is not ExitCode.LOCKED for one in outcomes if one.job in held):
            self._violated("two processes ran one job at once")
        fuse.fenced = fuse.robbed = unlocked

    def _tamper(self) -> None:
        sealed = self._batches(lambda one: one.phase in (Phase.PREPARED, Phase.ALLOCATED))
        if sealed:
            self.damage.break_one([Path(one.file.path) for one in sealed], self.draw)
            self.told("a sealed file was damaged")
            self._sometimes("a sealed file was damaged")

    def _pass(
        self, fuse: Fuse, *, anew: bool, wait: bool, withdrawing: bool = False, trusted: bool, locked: bool = False
    ) -> tuple[JobOutcome, ...]:
        """Run one process; return how its jobs came out, nothing if it died."""
        self.fuse = fuse
        self.time.sleeps = 0
        patience = Patience(wait=wait)
        self.anew += anew
        try:
            with process(self.state, self.sources, self.time, fuse, self._credentials(), self.rows_max) as one:
                if withdrawing:
                    self._withdraw(one)
                outcomes = (sync if anew else resume)(one.contexts, one.world, patience)
                self._look(outcomes, trusted=trusted, locked=locked or fuse.robbed)
                return outcomes
        except Crash:
            self.report.crashes += 1
            self._sometimes(f"died at {fuse.died_at.split(':')[0]}")
            return ()
        finally:
            self.fuse = Fuse()

    def _withdraw(self, one: Process) -> None:
        """Let a person cancel a batch."""
        for batch in one.journal.open_batches():
            context = next((each for each in one.contexts if each.job.name == batch.job), None)
            if context is None:
                continue
            try:
                with one.world.lease(batch.job):
                    cancel(batch, context, one.world)
                self._sometimes("a person cancelled a batch")
            except (UsageError, EnvironmentProblem) as refused:
                self.told(f"not cancelled: {refused.message}")
            return

    def _look(self, outcomes: tuple[JobOutcome, ...], *, trusted: bool, locked: bool) -> None:
        """Hold what a process said of its runs against what may be said."""
        for outcome in outcomes:
            self.told(f"{outcome.job}: exit {int(outcome.exit_code)} {outcome.error.message if outcome.error else ''}")
            usual = (EnvironmentProblem, LockedError) if locked else EnvironmentProblem
            calm = trusted or not (locked or self.damage.done or self.armed.struck())
            if outcome.error is not None and (calm or not isinstance(outcome.error, usual)):
                self._violated(f"{outcome.job}: {type(outcome.error).__name__}: {outcome.error.message}")
            if outcome.exit_code in _AT_REST:
                self._look_for_rest(outcome)
            self._sometimes(*states.of_runs(outcome))

    def _look_for_rest(self, outcome: JobOutcome) -> None:
        """Whoever says that a job is done, or done but for rejects, has left nothing of it open."""
        for one in self._batches(lambda one: one.job == outcome.job and one.phase is not Phase.DELIVERED):
            self._violated(f"{outcome.job}: exit {int(outcome.exit_code)}, and {one.id} is {one.phase}")

    def _sometimes(self, *what: str) -> None:
        self.report.sometimes.update(what)

    def _open_somewhere(self) -> bool:
        return bool(self._batches(lambda one: one.phase is not Phase.DELIVERED))

    def _preparing(self) -> bool:
        """Whether a run in the journal is still being prepared, as a process would find it now."""
        if not (self.state / "journal.db").exists():
            return False
        with Journal.open(self.state) as journal:
            return any(journal.preparing_runs(name) for name in self.sources.names)

    def _batches(self, fits: Callable[[Batch], bool] | None = None) -> list[Batch]:
        """Return the batches in the journal as a process would find it now."""
        if not (self.state / "journal.db").exists():
            return []
        with Journal.open(self.state) as journal:
            found = oracle.all_batches(journal, self.sources.names)
        return [one for one in found if fits(one)] if fits else found

    def _note_states(self) -> None:
        """Note in which of the hard states a process finds the world when it starts."""
        if self._preparing():
            self._sometimes("resumed a run that was being prepared")
        self._sometimes(*states.of_the_world(self._batches(), oracle.slots_of(self.vendors)))

    def _after(self, struck: list[Planned]) -> None:
        """Note what struck in the life that is over, and which batches may have unknown rows, or be lost, for it."""
        booked = {one.id: VENDOR_OF[one.job] for one in self._batches(lambda one: one.books is not None)}
        for one in struck:
            self.report.fired[one.name] += 1
            self._sometimes(f"fault {one.name} at {one.place}")
            vendor = PLACES[one.place][0]
            if one.leaves_unknown:
                self.doubtful |= {name for name, by in booked.items() if by == vendor and name not in self._booked}
            if one.name in {"vanish", "404"}:
                self.forgetful.add(vendor)
        self._booked = set(booked)

    # the time without trouble

    def _calm(self) -> None:
        self.armed.clear()
        self.told("calm")

    def _settle(self) -> None:
        """Everything comes to rest within a bound; a person looks after what is stuck."""
        self._note_states()
        begun = self.time.epoch()
        for number in range(1, MOST_PASSES + 1):
            self._pass(Fuse(told=self.told), anew=True, wait=True, trusted=True)
            stuck = self._batches(lambda one: one.phase is Phase.STUCK)
            if stuck:
                self._sometimes("a person resumed a stuck batch")
                self._pass(Fuse(told=self.told), anew=False, wait=True, trusted=True)
                continue
            if not self._open_somewhere():
                self.report.passes, self.report.hours = number, (self.time.epoch() - begun) / 3600
                if self.report.hours > MOST_HOURS:
                    self._violated(f"it took {self.report.hours:.1f} hours to come to rest")
                return
        left = [
            (one.id, str(one.phase), str(one.doubt), one.reason)
            for one in self._batches(lambda one: one.phase is not Phase.DELIVERED)
        ]
        self._violated(f"still not at rest after {MOST_PASSES} passes: {left}")

    def _judge(self) -> None:
        """Ask the vendors."""
        self._look_for_more()
        slots = oracle.slots_of(self.vendors)
        self.told(oracle.shown(slots))
        self._sometimes(*states.of_the_story(self.time.landed, slots, self.sources))
        with Journal.open(self.state) as journal:
            batches = oracle.all_batches(journal, self.sources.names)
            for complaint in (
                *oracle.never_twice(slots, self.sources, again=self.anew),
                *oracle.one_slot_each(slots, batches),
                *oracle.tickets_follow(self.vendors, batches),
                *oracle.books_are_true(slots, batches, doubtful=self.doubtful),
                *oracle.lost_for_a_reason(batches, self.forgetful),
                *oracle.equations_hold(journal, self.sources.names),
                *oracle.target_is_source(slots, self.vendors, self.sources, self.state, journal),
                *oracle.results_are_whole(slots, self.sources, journal, self.folder),
            ):
                self._violated(complaint)
            for batch in batches:
                events = journal.events(batch.id)
                self._sometimes(*states.of_a_batch(batch, events))
                self.told(f"{batch.id} {batch.verdict} {batch.books} {[type(one).__name__ for one in events]}")

    def _look_for_more(self) -> None:
        """Sync once more, when nothing should be left to do."""
        self.time.pass_by(5 * 3600)
        before = self._sent()
        outcomes = self._pass(Fuse(told=self.told), anew=True, wait=True, trusted=True)
        for complaint in oracle.nothing_more(outcomes, self._sent() - before, self.vendors, self.sources):
            self._violated(complaint)

    def _speak(self) -> None:
        """Let a person end what is unknown; no row is excused afterwards."""
        with process(self.state, self.sources, self.time, self.fuse, self._credentials(), self.rows_max) as one:
            said = person.speak(one, oracle.slots_of(self.vendors), self.sources)
        if not said.words:
            return
        for what in said.words:
            self._sometimes(what)
            self.told(what)
        self._settle()
        self._look_for_more()
        slots = oracle.slots_of(self.vendors)
        with Journal.open(self.state) as journal:
            for complaint in (
                *said.broken(slots, self.sources),
                *oracle.never_twice(slots, self.sources, again=self.anew),
                *oracle.equations_hold(journal, self.sources.names),
                *oracle.none_unknown(journal, self.sources.names),
                *oracle.target_is_source(slots, self.vendors, self.sources, self.state, journal, resolved=True),
            ):
                self._violated(f"after a person spoke: {complaint}")

    def _sent(self) -> set[str]:
        return {slot.id for slot in oracle.slots_of(self.vendors).values() if slot.uploads}

    def _credentials(self) -> dict[str, dict[str, str]]:
        return {name: dict(vendor.credentials) for name, vendor in self.vendors.items()}


_PORTS = (("motorweb-bdp", 1001), ("sitecore-cdp", 1002))


def play(seed: int, folder: Path) -> Report:
    """Play one seed in a folder that belongs to it."""
    return Play(seed, folder).run()


def _emptied(folder: Path) -> None:
    """Empty the folder, but for the specs, which are the same for every seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one)
        elif one.suffix != ".yaml":
            one.unlink()
