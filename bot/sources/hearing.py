"""Who speaks and is not heard: one deafness watch per speaker, one for packets that are nobody's, over a call's counters."""

from collections.abc import Mapping, Set

from bot.voice.deafness import PATIENCE, DeafnessWatch, Remedy
from bot.voice.stats import CallStats, Drop, SpeakerStats

SOMEBODY = 0
"""Stands for a speaker who cannot be told: packets that no key opens, or whose SSRC nobody named."""

QUIET_SECONDS = 10.0
"""Packets of nobody in particular that stopped coming for so long are an outage no more."""


_TRANSPORT, _UNMAPPED = 0, -1
"""Keys of the watches over packets that are nobody's."""


class HearingWatch:
    """Looks at counters as they grow. Time is an argument.

    One member's broken client costs the others a rejoin now and then, ever more rarely.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        """`patience`: seconds, before the first remedy; it doubles with each that does not help."""
        self._patience = patience
        self._watches: dict[int, DeafnessWatch] = {}
        self._grew: dict[int, tuple[int, float]] = {}
        self._unheard: dict[int, float] = {}

    @property
    def unheard(self) -> dict[int, float]:
        """User (or `SOMEBODY`) → monotonic second since which they are not heard."""
        found: dict[int, float] = {}
        for key, since in self._unheard.items():
            user_id = max(key, SOMEBODY)
            found[user_id] = min(since, found.get(user_id, since))
        return found

    def look(
        self, speakers: Mapping[int, SpeakerStats], call: CallStats, present: Set[int], now: float, *, excused: bool = False
    ) -> Remedy | None:
        """The remedy to try now, if any: a rejoin mends what a re-key does.

        `present`: who is in the channel; nobody else matters. `excused`: packets whose SSRC nobody named are not to be heard anyway.
        """
        opened = sum(stats.decrypted for stats in speakers.values())
        remedies = [
            self._nobodys(_TRANSPORT, opened, call.dropped.get(Drop.TRANSPORT_REFUSED, 0), now),
            self._nobodys(_UNMAPPED, 0, call.dropped.get(Drop.UNMAPPED, 0), now, excused=excused),
        ]
        for user_id, stats in speakers.items():
            refused = sum(stats.failed.values()) + stats.undecodable
            remedies.append(self._watch(user_id, stats.decoded, refused, now, over=user_id not in present))
        return max((r for r in remedies if r is not None), key=list(Remedy).index, default=None)

    def _nobodys(self, key: int, opened: int, refused: int, now: float, *, excused: bool = False) -> Remedy | None:
        before, grew_at = self._grew.get(key, (0, now))
        if refused != before:
            grew_at = now
        self._grew[key] = refused, grew_at
        return self._watch(key, opened, refused, now, over=excused or now - grew_at > QUIET_SECONDS)

    def _watch(self, key: int, opened: int, refused: int, now: float, *, over: bool) -> Remedy | None:
        watch = self._watches.get(key)
        if watch is None:
            if not refused:
                return None
            watch = self._watches[key] = DeafnessWatch(self._patience)
        if over:
            watch.start_over(opened, refused)
        remedy = watch.look(opened, refused, now)
        if watch.remedies and watch.deaf_since is not None:
            self._unheard[key] = watch.deaf_since
        else:
            self._unheard.pop(key, None)
        return remedy
