"""What is wrong with hearing, from both watches: packets that cannot be opened, and packets that do not come."""

from collections.abc import Callable, Mapping, Set

from bot.sources.hearing import HearingWatch
from bot.voice.deafness import PATIENCE, Remedy
from bot.voice.silence import SilenceWatch
from bot.voice.stats import CallStats, SpeakerStats
from moderation.health import Unheard
from moderation.models import Speaker


class DeafnessAlarm:
    """Of one call. Time is an argument."""

    def __init__(self, patience: float = PATIENCE) -> None:
        """`patience`: seconds before the first remedy for what cannot be opened."""
        self._opening = HearingWatch(patience)
        self.silence = SilenceWatch()

    def look(
        self,
        speakers: Mapping[int, SpeakerStats],
        call: CallStats,
        present: Set[int],
        able: Set[int],
        now: float,
        *,
        excused: bool,
    ) -> Remedy | None:
        """The remedy to try now, if any.

        `present`: who else is in the channel; `able`: those of them who may speak and be heard; `excused`: see `HearingWatch.look`.
        """
        remedy = self._opening.look(speakers, call, present, now, excused=excused)
        return Remedy.REJOIN if self.silence.look(speakers, call, able, now) else remedy

    def unheard(self, who: Callable[[int], Speaker], now: float) -> tuple[Unheard, ...]:
        """Who speaks and is not heard, by id; whoever it cannot be told of has id 0."""
        silent, refused = self.silence.unheard, self._opening.unheard
        found = {**{user: (since, True) for user, since in silent.items()}, **{user: (since, False) for user, since in refused.items()}}
        return tuple(Unheard(who(user), now - since, silent=nothing_came) for user, (since, nothing_came) in sorted(found.items()))
