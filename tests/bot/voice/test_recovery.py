"""When DAVE's keys are asked for anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.recovery import KeyRecovery

pytestmark = pytest.mark.unit


def joined() -> KeyRecovery:
    recovery = KeyRecovery()
    recovery.begin()
    recovery.offered()
    recovery.settled()
    return recovery


def test_a_refused_commit_or_welcome_is_answered() -> None:
    assert joined().refused(welcome=False)
    assert joined().refused(welcome=True)


def test_commits_of_the_group_that_was_lost_are_let_pass_until_the_answer() -> None:
    recovery = joined()
    assert recovery.refused(welcome=False)
    recovery.offered()
    assert not recovery.refused(welcome=False)
    assert not recovery.refused(welcome=False)
    recovery.settled()
    assert recovery.refused(welcome=False)
    assert (recovery.asked, recovery.passed) == (2, 2)


def test_a_welcome_for_an_older_key_package_is_let_pass() -> None:
    recovery = joined()
    assert recovery.refused(welcome=False)
    recovery.offered()
    recovery.offered()
    assert not recovery.refused(welcome=True)
    assert recovery.refused(welcome=True)


@given(st.lists(st.booleans(), max_size=50))
def test_asking_ends_when_the_server_answers_each_request_in_turn(commits_before_answer: list[bool]) -> None:
    """Whatever commits of the lost group come first, the one welcome of the one key package that is out fits."""
    recovery = joined()
    recovery.refused(welcome=False)
    recovery.offered()
    packages = 1
    for _ in commits_before_answer:
        if recovery.refused(welcome=False):
            recovery.offered()
            packages += 1
    assert packages == 1
    recovery.settled()
    assert not recovery.asking
