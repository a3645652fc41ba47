"""A channel that is left out because the machine is overloaded: moderators are told, in one message that is edited."""

from datetime import timedelta

import pytest

from moderation.models import Session
from moderation.notices import Grade, Notice
from moderation.outages import TELL_SECONDS, Outages
from tests.fakes_live import WELL, overload, relax
from tests.moderation.test_supervisor import START, after, night, until

pytestmark = pytest.mark.unit

SESSION = Session("s1", 7, 8, START, "General")


def notices(outages: Outages, *looks: bool) -> list[Notice]:
    """One look a second."""
    found = [outages.look(WELL, START + timedelta(seconds=n), left_out=each) for n, each in enumerate(looks)]
    return [news for each in found for news in each if isinstance(news, Notice)]


async def test_moderators_are_told_that_nobody_is_heard_and_that_it_is_over() -> None:
    async with night(looking=True) as at:
        overload(at.shedding)
        await until(at.told)
        (notice,) = at.told()
        assert (notice.grade, "nobody in <#8>" in notice.text) == (Grade.TROUBLE, True)
        relax(at.shedding)
        await until(lambda: at.told()[0].grade is Grade.MENDED)
        assert len(at.told()) == 1


def test_a_short_overload_is_no_message_and_a_second_long_one_is_the_same() -> None:
    long = int(TELL_SECONDS) + 1
    outages = Outages(SESSION)
    assert not notices(outages, *[True] * 5, False)
    told = notices(outages, *[True] * long, False, *[True] * long, False)
    assert [notice.grade for notice in told] == [Grade.TROUBLE, Grade.MENDED] * 2
    assert len({notice.key for notice in told}) == 1


def test_a_session_that_ends_meanwhile_says_until_when() -> None:
    outages = Outages(SESSION)
    notices(outages, *[True] * 20)
    (last,) = outages.end(after(60))
    assert last.grade is Grade.MENDED
