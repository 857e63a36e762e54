"""Values of the column `last_state` of a baseline segment."""

from __future__ import annotations

#: How the newest version ended, in `Segment.last_state`. A removal of unknown outcome has a number of its own, and so
#: have rows that a person has sent again: nobody knows whether the target still holds what it accepted before.
REJECTED, UNKNOWN, REMOVAL_UNKNOWN, AGAIN = 1, 2, 3, 4
