"""Run of one seed: process lives with faults, then passes without faults until everything is settled, then checks."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.journal import Journal, accept_older
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import JobOutcome, resume, sync
from batchsync.storage.local_folder import LocalFolder
from batchsync_mocks.clock import Clock
from batchsync_mocks.control import MockContext
from batchsync_mocks.serving import VENDORS, MockServer
from batchsync_mocks.vendor_state import VendorState
from kit.draws import draws
from simulation import (
    interference,
    lost_state,
    manual_resolution,
    oracle,
    reached_states,
    reported_outcomes,
    restored_state,
)
from simulation.answer_forms import draw_answer_forms, draw_calls
from simulation.armed_faults import ArmedFaults, FileDamage
from simulation.clock import START, VirtualTime
from simulation.deployment import Sources, vendor_of
from simulation.fault_plan import CRASHES, STOPS, draw_faults
from simulation.network import Network, connected
from simulation.process_life import Crash, CrashPoint, anchors_of, process, workers_of
from simulation.renames import crash_in_take_over
from simulation.report import Report
from simulation.state_backup import BACKUP_POINTS, RESTORE_SECONDS, StateBackup, clear_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from batchsync_mocks.vendor import Vendor
    from simulation.fault_plan import PlannedFault

#: passes without faults within which everything must be settled
MAX_PASSES = 8
#: virtual hours within which everything must be settled: processing times, poll intervals and the longest back-off
MAX_HOURS = 36.0
#: minutes by which a vendor's clock is behind the machine's, where they differ
_MINUTES_BEHIND = (80, 20, -20, -80, -600)


class SeedRun:
    """One seed in one folder, which is emptied first."""

    #: names of the vendors with the ports of their mocks
    ports: tuple[tuple[str, int], ...] = (("motorweb-bdp", 1001), ("sitecore-cdp", 1002))
    #: whether the vendors know a batch again that an older state sends, so that one may be restored
    restores = True

    def __init__(self, seed: int, folder: Path) -> None:
        """Set up sources, vendors, clock and network."""
        self.draw, self.workers = draws(seed), workers_of(seed)
        #: draws of what was added later, so that earlier seeds stay as they were
        self.later = type(self.draw)(f"later {seed}")
        self.folder, self.state = folder, folder / "state"
        clear_folder(folder)
        self.report = Report(seed)
        clock, kinds = Clock(START, frozen=True), self._kinds()
        self.kit = MockContext(
            clock=clock,
            vendors={name: kinds[name](VendorState(folder / "vendors" / name, seed=seed), clock) for name in kinds},
            folder=folder / "vendors",
        )
        self.time = VirtualTime(clock)
        self.sources = self._draw_sources()
        self.sources.write_initial()
        self.rows_max = self.draw.choice([1, 2, 3, 50])
        self._draw_answers(seed)
        ports = self.ports
        servers = {port: MockServer(self.kit, self.kit.vendors[name], "127.0.0.1", port, None) for name, port in ports}
        self.network = Network(
            servers=servers,
            names={port: name for name, port in ports},
            clock=self.time,
            checkpoint=self._checkpoint,
            log=self.log,
        )
        self._let_clocks_differ(seed)
        self.armed, self.damage, self.crash_point = ArmedFaults(self.kit, self.network), FileDamage(), CrashPoint()
        #: batches whose row log was incomplete, unless they were collected before that
        self.may_be_unknown: set[str] = set()
        #: by vendor, how many answers at most denied a batch which it had
        self.denials: Counter[str] = Counter()
        #: collected batches, and the number of `sync` commands
        self._collected, self.syncs = set[str](), 0
        #: batches that needed attention when the faults ended, until they are resumed
        self.parked = set[str]()
        #: draws of renamed columns, apart from the others so that earlier seeds stay what they were
        self._renames = type(self.draw)(f"{seed} renames")
        self._copies = type(self.draw)(f"{seed} copies")

    @property
    def vendors(self) -> Mapping[str, Vendor]:
        """Return the mock vendors by name."""
        return self.kit.vendors

    def _kinds(self) -> Mapping[str, type[Vendor]]:
        """Return the mock vendors by name."""
        return VENDORS

    def _draw_sources(self) -> Sources:
        """Draw the jobs of the seed."""
        names = ("vehicles", "guests", "members") if self.draw.random() < 0.25 else ("vehicles", "guests")
        return Sources(self.folder, self.draw, names)

    def _draw_answers(self, seed: int) -> None:
        """Draw calls and forms of the answers of the vendors."""
        draw_answer_forms(self.draw, self.vendors)
        self.sources.settings = tuple(sorted(draw_calls(type(self.draw)(f"calls {seed}"), self.vendors).items()))
        for name, value in self.sources.settings:
            self.reached(f"{name} {value}")

    def _draw_faults(self) -> list[PlannedFault]:
        """Draw the faults of one process life."""
        return draw_faults(self.draw)

    def _let_clocks_differ(self, seed: int) -> None:
        """Let the clock of one vendor differ from the machine's in one of eight seeds. Other draws stay as they are."""
        if seed % 8 == 1:
            minutes = _MINUTES_BEHIND[seed // 16 % len(_MINUTES_BEHIND)]
            self.network.clocks_behind[self.ports[seed // 8 % len(self.ports)][0]] = 60.0 * minutes
            self.reached("a vendor's clock differed")

    def _set_clocks_right(self) -> None:
        """Let the clocks agree, so that the ledgers are read at the times that the vendors wrote into them."""
        ahead = max((-seconds for seconds in self.network.clocks_behind.values()), default=0.0)
        self.network.clocks_behind.clear()
        self.time.advance(max(ahead, 0.0))

    def log(self, text: str) -> None:
        """Append a line to the transcript; the folder, which differs between processes, is replaced by a constant."""
        text = text.replace(str(self.folder), "FOLDER")
        self.report.transcript.append(f"{self.time.epoch():.3f} {text}")

    def run(self) -> Report:
        """Play the seed to its end and check the invariants."""
        try:
            with connected(self.network):
                for number in range(self.draw.randint(2, 4)):
                    if number:
                        interference.edit_sources(self)
                    restored_state.copy_state(self.state, self.folder / "older", self._copies)
                    self._life()
                self._end_faults()
                self._settle()
                self._set_clocks_right()
                self._check()
                self._resolve_unknown()
                for violation in self._replace_state():
                    self.violated(violation)
        except Exception as error:  # noqa: BLE001 - any exception is a violation
            self.violated(f"{type(error).__name__}: {error}")
        finally:
            self.report.digest = hashlib.blake2b("\n".join(self.report.transcript).encode()).hexdigest()
        return self.report

    def _checkpoint(self, name: str) -> None:
        self.crash_point.checkpoint(name)

    def violated(self, text: str) -> None:
        self.report.violations.append(text)
        self.log(f"VIOLATION {text}")

    def _replace_state(self) -> Iterable[str]:
        """Restore an older state or delete the state in some seeds; return the violations after that."""
        restored = tuple(restored_state.play(self, self.folder / "older", self._copies))
        return restored or lost_state.play(self)

    # with faults

    def _life(self) -> None:
        """Run one process with faults, which may crash."""
        planned = self._draw_faults()
        self.report.planned.update(item.name for item in planned)
        self.armed.arm(planned)
        self._note_states()
        crash = self.draw.random() < 0.75
        pattern = self.draw.choice(CRASHES) if crash else None
        nth = self.draw.randint(1, 80) if pattern == "" else self.draw.choice([1, 1, 2, 2, 3, 4, 6, 9])
        wait = self.draw.random() < 0.8
        new_run = self.draw.random() < 0.75
        self.log(
            f"life: crash {pattern!r} {nth}, wait {wait}, sync {new_run}, "
            f"faults {[(item.name, item.call) for item in planned]}"
        )
        cancelling = self.draw.random() < 0.06
        if self.draw.random() < 0.06:
            interference.damage_file(self)
        pattern, nth = (crash and crash_in_take_over(self.sources, self.later)) or (pattern, nth)
        crash_point = CrashPoint(pattern, nth, log=self.log)
        if not cancelling and self.draw.random() < 0.1:
            unlocked = self.draw.random() < 0.7
            at, nth = self.draw.choice(STOPS), self.draw.choice([1, 1, 2, 3, 5])
            crash_point.stop = (at, nth, lambda: interference.run_second(self, crash_point, unlocked=unlocked))
        backup = StateBackup(self.state, self.folder / "kept")
        may_restore = self.restores and not (cancelling or crash_point.stop or self.damage.done)
        if may_restore and self.draw.random() < 0.3:
            crash_point.stop = (self.draw.choice(BACKUP_POINTS), self.draw.choice([1, 1, 2, 2, 3, 4, 5]), backup.take)
        if new_run and self._renames.random() < 0.1:
            self.sources.rename_column(self._renames.choice(self.sources.names))
            self.log(f"a column of {self.sources.renamed} was renamed")
        self.run_process(crash_point, new_run=new_run, wait=wait, cancelling=cancelling, trusted=False)
        self.sources.rename_column("")
        if crash_point.fenced_writes:
            self.violated(f"a process without its lease still wrote: {crash_point.fenced_writes[0]}")
        self._note_hits(self.armed.disarm(planned))
        self.damage.repair()
        self._restore(backup)

    def _restore(self, backup: StateBackup) -> None:
        """Restore the state folder from a backup if the journal has changed since."""
        if backup.restore(self.sources.journal_names, self.batches()):
            self.time.advance(RESTORE_SECONDS)
            self.log("the state folder was restored from a copy")
            accept_older(self.state, anchors_of(self.state), reason="the simulation restored it", at=self.time.now())
            self.reached("the state folder was restored from a copy")
            self._collected = {batch.id for batch in self.batches(lambda batch: batch.counts is not None)}

    def run_process(
        self,
        crash_point: CrashPoint,
        *,
        new_run: bool,
        wait: bool,
        cancelling: bool = False,
        trusted: bool,
        locked: bool = False,
    ) -> tuple[JobOutcome, ...]:
        """Run one process; return the outcomes of its jobs, or nothing if it crashed."""
        self.crash_point = crash_point
        self.time.sleeps = 0
        wait_policy = WaitPolicy(wait=wait)
        self.syncs += new_run
        try:
            place = (self.state, self.sources, self.time, crash_point, self.credentials(), self.rows_max)
            with process(*place, workers=self.workers) as engine:
                if cancelling:
                    interference.cancel_first(self, engine)
                outcomes = (sync if new_run else resume)(engine.contexts, engine.services, wait_policy)
                reported_outcomes.check(self, outcomes, trusted=trusted, locked=locked or crash_point.lost_leases)
                return outcomes
        except Crash:
            self.report.crashes += 1
            self.reached(f"died at {crash_point.died_at.split(':')[0]}")
            return ()
        finally:
            self.crash_point = CrashPoint()

    def reached(self, *names: str) -> None:
        """Note states and faults that the seed reached."""
        self.report.reached.update(names)

    def any_open(self) -> bool:
        """Return whether a batch is open."""
        return bool(self.batches(lambda batch: batch.phase is not Phase.DELIVERED))

    def batches(self, fits: Callable[[Batch], bool] | None = None) -> list[Batch]:
        """Return the batches in the journal, optionally only those that `fits` selects."""
        if not (self.state / "journal.db").exists():
            return []
        with Journal.open(self.state, objects=LocalFolder(self.state)) as journal:
            found = oracle.all_batches(journal, self.sources.journal_names)
        return [item for item in found if fits(item)] if fits else found

    def _note_states(self) -> None:
        """Note the states that a starting process finds."""
        self.reached(*reached_states.of_journal(self.state, self.sources))
        self.reached(*reached_states.at_start(self.batches(), oracle.vendor_batches(self.vendors)))

    def _note_hits(self, hits: list[PlannedFault]) -> None:
        """Note the faults that hit requests, and the batches that may have unknown rows or be lost because of them."""
        collected = {batch.id: vendor_of(batch.job) for batch in self.batches(lambda batch: batch.counts is not None)}
        for item in hits:
            self.report.hit[item.name] += 1
            self.reached(f"fault {item.name} at {item.call}")
            vendor = item.vendor
            if item.leaves_unknown:
                self.may_be_unknown |= {
                    name for name, by in collected.items() if by == vendor and name not in self._collected
                }
            if item.name in {"vanish", "404"}:
                self.denials[vendor] += item.fault.times or 1 if item.fault else 1
        self._collected = set(collected)

    # without faults

    def _end_faults(self) -> None:
        self.armed.clear()
        self.parked = {str(batch.id) for batch in self.batches(lambda item: item.phase is Phase.NEEDS_ATTENTION)}
        self.log("no more faults")

    def _settle(self) -> None:
        """Run passes until everything is settled; batches that need attention are resumed."""
        self._note_states()
        begun = self.time.epoch()
        for number in range(1, MAX_PASSES + 1):
            self.run_process(CrashPoint(log=self.log), new_run=True, wait=True, trusted=True)
            needs_attention = self.batches(lambda batch: batch.phase is Phase.NEEDS_ATTENTION)
            if needs_attention:
                self.reached("a batch that needs attention was resumed")
                self.run_process(CrashPoint(log=self.log), new_run=False, wait=True, trusted=True)
                self.parked.clear()
                continue
            if not self.any_open():
                self.report.passes, self.report.hours = number, (self.time.epoch() - begun) / 3600
                if self.report.hours > MAX_HOURS:
                    self.violated(f"it took {self.report.hours:.1f} hours until everything was settled")
                return
        open_batches = [
            (batch.id, str(batch.phase), str(batch.pending_intent), batch.reason)
            for batch in self.batches(lambda batch: batch.phase is not Phase.DELIVERED)
        ]
        self.violated(f"still not settled after {MAX_PASSES} passes: {open_batches}")

    def _check(self) -> None:
        """Check the invariants by the ledgers of the vendors."""
        self._sync_again()
        at_vendors = oracle.vendor_batches(self.vendors)
        self.log(oracle.to_json(at_vendors))
        self.reached(*reached_states.at_end(self.time.arrived, at_vendors, self.sources))
        with Journal.open(self.state, objects=LocalFolder(self.state)) as journal:
            batches = oracle.all_batches(journal, self.sources.journal_names)
            for violation in (
                *oracle.check_no_duplicates(at_vendors, self.sources, retries=self.syncs),
                *self._check_batches(at_vendors, batches, journal),
                *oracle.check_lost_batches(batches, {name for name, times in self.denials.items() if times > 1}),
                *oracle.check_journal(journal, self.sources.journal_names),
                *oracle.check_target(at_vendors, self.vendors, self.sources, self.state, journal),
            ):
                self.violated(violation)
            for batch in batches:
                events = journal.events(batch.id)
                self.reached(*reached_states.of_batch(batch, events))
                self.log(f"{batch.id} {batch.verdict} {batch.counts} {[type(event).__name__ for event in events]}")

    def _check_batches(
        self, at_vendors: Mapping[str, oracle.VendorBatch], batches: list[Batch], journal: Journal
    ) -> Iterable[str]:
        """Yield the violations about the batches and what the vendors hold of them."""
        yield from oracle.check_one_allocation_each(at_vendors, batches)
        yield from oracle.check_idempotency_keys(self.vendors, batches)
        yield from oracle.check_row_counts(at_vendors, batches, doubtful=self.may_be_unknown)
        yield from oracle.check_results(at_vendors, self.sources, journal, self.folder)

    def _sync_again(self) -> None:
        """Sync once more; there must be nothing left to do."""
        self.time.advance(5 * 3600)
        before = self._sent()
        outcomes = self.run_process(CrashPoint(log=self.log), new_run=True, wait=True, trusted=True)
        for violation in oracle.check_idle_sync(outcomes, self._sent() - before, self.vendors, self.sources):
            self.violated(violation)

    def _resolve_unknown(self) -> None:
        """Resolve all unknown rows manually; afterwards no row may deviate."""
        with process(
            self.state, self.sources, self.time, self.crash_point, self.credentials(), self.rows_max
        ) as engine:
            resolutions = manual_resolution.resolve_all(engine, oracle.vendor_batches(self.vendors), self.sources)
        if not resolutions.descriptions:
            return
        for description in resolutions.descriptions:
            self.reached(description)
            self.log(description)
        self._settle()
        self._sync_again()
        at_vendors = oracle.vendor_batches(self.vendors)
        with Journal.open(self.state, objects=LocalFolder(self.state)) as journal:
            for violation in (
                *resolutions.check(at_vendors, self.sources),
                *oracle.check_no_duplicates(at_vendors, self.sources, retries=self.syncs),
                *oracle.check_journal(journal, self.sources.journal_names),
                *oracle.check_nothing_unknown(journal, self.sources),
                *oracle.check_target(at_vendors, self.vendors, self.sources, self.state, journal, resolved=True),
            ):
                self.violated(f"after the manual resolution: {violation}")

    def _sent(self) -> set[str]:
        return {batch.id for batch in oracle.vendor_batches(self.vendors).values() if batch.uploads}

    def credentials(self) -> dict[str, dict[str, str]]:
        """Return the credentials of the vendors by name."""
        return {name: dict(vendor.credentials) for name, vendor in self.vendors.items()}


def play(seed: int, folder: Path) -> Report:
    """Play one seed in a folder of its own."""
    return SeedRun(seed, folder).run()
