"""The journal: one SQLite file per state folder.

Runs, batches, events, rejects and baseline entries enter and are written in fenced transactions; frozen values leave.
The package must not decide what happens next, and must not use the network.
"""

from batchsync.journal.anchor import accept_older, open_anchored
from batchsync.journal.environment import check_environment, own_environment
from batchsync.journal.files import check_present
from batchsync.journal.journal import Journal
from batchsync.journal.lease import hold_all, lease, this_process, unlock
from batchsync.journal.lock_files import is_held
from batchsync.journal.model import (
    AlertChanges,
    AlertMessage,
    Approval,
    LeaseRow,
    PendingAlert,
    RejectGroup,
    RejectRow,
)
from batchsync.journal.snapshot import copy_of_journal, install_journal, recorded_serial

__all__ = [
    "AlertChanges",
    "AlertMessage",
    "Approval",
    "Journal",
    "LeaseRow",
    "PendingAlert",
    "RejectGroup",
    "RejectRow",
    "accept_older",
    "check_environment",
    "check_present",
    "copy_of_journal",
    "hold_all",
    "install_journal",
    "is_held",
    "lease",
    "open_anchored",
    "own_environment",
    "recorded_serial",
    "this_process",
    "unlock",
]
