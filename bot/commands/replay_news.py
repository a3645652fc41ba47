"""What of a session's events is new: `replay` says everything once."""

from collections.abc import Iterator, Sequence

from moderation.models import Alert, AlertState, Detection, Finding, Flag, Level, TranscriptSegment

MAX_REMEMBERED = 1000
"""Segments remembered so that nothing about them is said twice; the oldest goes first."""


class News:
    """Events repeat what they said as more becomes known; this lets each flag and each alerting segment through once.

    An alert waits until every detector has said what it finds: moderators' cards are edited meanwhile, a line cannot be.
    """

    def __init__(self) -> None:
        self._flags: dict[str, set[Flag]] = {}
        self._told: dict[str, None] = {}
        self._waiting: dict[str, tuple[Alert, Finding]] = {}

    def flags(self, segment: TranscriptSegment, flags: Sequence[Flag]) -> list[Flag]:
        """Those not seen yet."""
        seen = self._flags.setdefault(segment.id, set())
        _bound(self._flags)
        new = [f for f in flags if f not in seen]
        seen.update(new)
        return new

    def findings(self, alert: Alert) -> Iterator[Finding]:
        """Alerting segments not told yet. An early alert waits for its final: nobody hears a recording live."""
        if alert.state is AlertState.EARLY:
            return
        for finding in alert.findings:
            if finding.verdict.level is Level.ALERT and finding.segment.id not in self._told:
                if any(state is Detection.PENDING for _, state in finding.verdict.detectors) and len(self._waiting) < MAX_REMEMBERED:
                    self._waiting[finding.segment.id] = (alert, finding)
                else:
                    self._tell(finding)
                    yield finding

    def rest(self) -> Iterator[tuple[Alert, Finding]]:
        """The session is over: what waited in vain, as with a detector whose answer nobody took any more."""
        for alert, finding in list(self._waiting.values()):
            self._tell(finding)
            yield alert, finding

    def _tell(self, finding: Finding) -> None:
        self._waiting.pop(finding.segment.id, None)
        self._told[finding.segment.id] = None
        _bound(self._told)


def _bound(memory: dict[str, set[Flag]] | dict[str, None]) -> None:
    while len(memory) > MAX_REMEMBERED:
        del memory[next(iter(memory))]
