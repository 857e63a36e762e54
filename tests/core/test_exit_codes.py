"""Exit code of a process whose jobs end differently."""

from __future__ import annotations

from itertools import permutations

import pytest

from batchsync.errors import ExitCode, most_severe_exit_code

#: DESIGN.md, section 8: the first of these that occurs is the exit code of the command.
PRECEDENCE = (1, 2, 3, 7, 8, 6, 5, 4, 0)


@pytest.mark.parametrize(("first", "second"), list(permutations(PRECEDENCE, 2)))
def test_most_severe_of_two_exit_codes(first: int, second: int) -> None:
    expected = min(first, second, key=PRECEDENCE.index)
    assert most_severe_exit_code([first, second]) == expected


def test_no_job_ends_with_done() -> None:
    assert most_severe_exit_code([]) is ExitCode.DONE


def test_every_exit_code_of_a_job_has_a_precedence() -> None:
    no_job = {ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.TESTS_FAILED}
    assert set(PRECEDENCE) == {int(code) for code in ExitCode if code not in no_job}
