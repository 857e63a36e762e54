"""How a vendor wants to be treated, as far as `decide` needs it. It does not know the vendor spec it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.core.job import Connection


class InDoubt(StrEnum):
    """What to do when nobody knows whether an allocation arrived."""

    #: the vendor can be asked by our ticket
    ASK = "ask"
    #: an empty slot harms nobody: go on with the next ticket
    TAKE_ANOTHER = "take_another"
    #: neither: a person must look
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The vendor's habits in time and doubt. All durations are of the injected clock.

    `ask_after` is how long a request that timed out may still be under way. `poll_first` grows by `poll_growth` to
    `poll_most`. `deadline` bounds the time from upload to verdict. `in_flight_max` bounds the batches of one
    connection between allocation and verdict. `failures_max` counts a call in doubt and each question about it that
    brings no answer.
    """

    allocation_in_doubt: InDoubt = InDoubt.STOP
    allocate_repeatable: bool = False
    ask_after: timedelta = timedelta(seconds=30)
    poll_first: timedelta = timedelta(seconds=5)
    poll_most: timedelta = timedelta(seconds=60)
    poll_growth: float = 1.5
    deadline: timedelta = timedelta(days=31)
    backoff_first: timedelta = timedelta(seconds=2)
    backoff_most: timedelta = timedelta(minutes=5)
    failures_max: int = 24
    attempts_max: int = 20
    in_flight_max: int = 1


def wished(policy: Policy, connection: Connection) -> Policy:
    """Return the vendor's policy with what the connection wishes instead."""
    if connection.poll_every is not None:
        policy = replace(policy, poll_first=connection.poll_every, poll_most=connection.poll_every)
    if connection.deadline is not None:
        policy = replace(policy, deadline=connection.deadline)
    if connection.in_flight is not None:
        policy = replace(policy, in_flight_max=connection.in_flight)
    return policy
