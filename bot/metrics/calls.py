"""Sums over all calls since the start: those that go on are read when asked, those that ended are remembered as sums."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import fields

from bot.sources.discord import DiscordSource
from bot.voice.stats import CallStats, SpeakerStats
from moderation.events import Event, SessionEnded, SessionStarted
from moderation.health import CallHealth
from moderation.models import Coverage
from moderation.sessions import Running

Sums = dict[tuple[str, str], float]
"""(what, label) → sum; the label is empty where there is none."""

OUTCOMES = tuple(f.name for f in fields(SpeakerStats) if f.name not in {"failed", "seconds_heard", "seconds_spoken"})
"""What may become of a voice packet; they overlap (a packet may be late and lost)."""


class Calls:
    """A `Sink` that knows the sessions that go on. Totals never fall: what a session came to is kept when it ends."""

    def __init__(self, running: Callable[[int], Running | None]) -> None:
        """`running`: the session of a guild."""
        self._running = running
        self._live: dict[str, Running] = {}
        self._ended: Sums = defaultdict(float)

    async def emit(self, event: Event) -> None:
        """A session started or ended."""
        match event:
            case SessionStarted(session):
                running = self._running(session.guild_id)
                if running is not None and running.session.id == session.id:
                    self._live[session.id] = running
            case SessionEnded(session):
                running = self._live.pop(session.id, None)
                if running is not None:
                    _add(self._ended, _sums(running))
            case _:
                pass

    def sums(self) -> Sums:
        """Since the start of the process."""
        total: Sums = defaultdict(float, self._ended)
        for running in self._live.values():
            _add(total, _sums(running))
        return total

    def coverage(self) -> list[Coverage]:
        """Of everybody in the sessions that go on."""
        return [c for running in self._live.values() for c in running.coverage()]

    def health(self) -> list[CallHealth]:
        """Of the calls that go on."""
        return [r.source.health() for r in self._live.values() if isinstance(r.source, DiscordSource)]

    def __len__(self) -> int:
        return len(self._live)


def _sums(running: Running) -> Sums:
    sums: Sums = defaultdict(float)
    sums["aside", "refused"] += running.pipeline.refused_aside
    for coverage in running.coverage():
        _add_coverage(sums, coverage)
    if isinstance(running.source, DiscordSource):
        speakers, call = running.source.statistics()
        for speaker in speakers.values():
            _add_speaker(sums, speaker)
        _add_call(sums, call)
        _add_health(sums, running.source.health())
    return sums


def _add_coverage(sums: Sums, coverage: Coverage) -> None:
    sums["speech", "spoken"] += coverage.spoken_seconds
    sums["speech", "heard"] += coverage.heard_seconds
    sums["speech", "gated"] += coverage.gated_seconds
    sums["shed", "seconds"] += coverage.shed_seconds
    sums["shed", "silence"] += coverage.shed_silence_seconds
    sums["shed", "partials"] += coverage.shed_partials
    sums["inbox", "dropped"] += coverage.dropped


def _add_speaker(sums: Sums, speaker: SpeakerStats) -> None:
    for outcome in OUTCOMES:
        sums["packets", outcome] += getattr(speaker, outcome)
    for reason, count in speaker.failed.items():
        sums["dave", reason.value] += count


def _add_call(sums: Sums, call: CallStats) -> None:
    sums["datagrams", ""] += call.datagrams
    for kind, count in call.ignored.items():
        sums["ignored", kind.value] += count
    for drop, count in call.dropped.items():
        sums["dropped", drop.value] += count


def _add_health(sums: Sums, health: CallHealth) -> None:
    sums["reconnects", ""] += health.reconnects
    sums["rekeys", ""] += health.recoveries
    sums["handover", ""] += health.dropped


def _add(total: Sums, more: Mapping[tuple[str, str], float]) -> None:
    for key, value in more.items():
        total[key] += value
