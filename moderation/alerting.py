"""When moderators are told: early alerts from partials, grouping and cooldown per speaker, revision by the final transcript.

One `Alerting` per session. It knows no clock: segments carry media time. It never posts anything: it says what happened, as events.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from moderation.events import AlertRaised, AlertRevised
from moderation.models import Alert, AlertState, Finding, Flag, Level, Session, Speaker, TranscriptSegment, Verdict
from moderation.settings import GuildSettings

MAX_TURNS = 64
"""Final segments of the session kept for context; the oldest goes first."""
MAX_CONTEXT = 8
"""Turns shown around an alert."""
MAX_GROUPED = 5
"""Further segments shown on one alert; more are counted."""
AFTER_SECONDS = 10.0
"""Media seconds after an alert in which others' answers still join its context."""
MAX_EARLIER = 16
"""Alerts before the speakers' latest ones that a slower detector's verdict can still reach; the oldest goes first."""
MAX_AFTER = 2
"""How many answers join: each is one edit of the card."""

AlertEvent = AlertRaised | AlertRevised


@dataclass(slots=True)
class _Open:
    """A speaker's latest alert."""

    alert: Alert
    after: int = 0
    """Answers of others that joined its context."""


class Alerting:
    """Turns verdicts on segments into alerts, per speaker."""

    def __init__(
        self,
        session: Session,
        settings: Callable[[], GuildSettings],
        speaker: Callable[[int], Speaker],
        clock: Callable[[], float],
    ) -> None:
        """`clock`: monotonic seconds, for `Alert.raised_at` only."""
        self.session = session
        """Names another channel after the bot was moved."""
        self._settings = settings
        self._speaker = speaker
        self._clock = clock
        self._turns: deque[Finding] = deque(maxlen=MAX_TURNS)
        self._open: dict[int, _Open] = {}
        self._earlier: deque[_Open] = deque(maxlen=MAX_EARLIER)
        self._seen: dict[int, tuple[int, frozenset[tuple[str, str, str]]]] = {}

    def partial(self, segment: TranscriptSegment, verdict: Verdict, said_in: Session | None = None) -> AlertEvent | None:
        """A partial's verdict: a severe term that stands in two successive partials raises an early alert.

        `said_in`: the session as it was when the speaker began; None: as it is now.
        """
        session = said_in or self.session
        settings = self._settings()
        severe = [f for f in verdict.flags if f.severity >= settings.early_severity]
        now = frozenset(_identity(f, segment) for f in severe)
        utterance, before = self._seen.get(segment.speaker_id, (-1, frozenset()))
        self._seen[segment.speaker_id] = (segment.utterance, now)
        if utterance != segment.utterance or not now & before:
            return None
        opened = self._open.get(segment.speaker_id)
        if opened and (opened.alert.segment.id == segment.id or self._in_cooldown(opened.alert, session, segment, verdict)):
            return None
        return self._raise(session, segment, verdict, AlertState.EARLY)

    def final(self, segment: TranscriptSegment, verdict: Verdict, said_in: Session | None = None) -> list[AlertEvent]:
        """A final's verdict; call it again with the merged verdict when a slower detector finds something, however late.

        `said_in`: see `partial`.
        """
        session = said_in or self.session
        self._seen.pop(segment.speaker_id, None)
        events: list[AlertEvent] = []
        if segment.text and not self._renew_turn(segment, verdict):
            self._turns.append(Finding(segment, verdict))
            events += self._answers(segment)
        opened = self._holder(segment) or self._open.get(segment.speaker_id)
        if opened and opened.alert.segment.id == segment.id:
            events.append(self._conclude(opened, segment, verdict))
        elif verdict.level is Level.ALERT:
            if opened and self._in_cooldown(opened.alert, session, segment, verdict):
                events.append(self._group(opened, segment, verdict))
            else:
                events.append(self._raise(session, segment, verdict, AlertState.CONFIRMED))
        return events

    def settled(self, segment: TranscriptSegment, verdict: Verdict) -> AlertRevised | None:
        """A slower detector found nothing in that segment, or failed: a card that shows the segment says so."""
        opened = self._holder(segment)
        if opened is None or opened.alert.state is AlertState.WITHDRAWN:
            return None
        if opened.alert.segment.id == segment.id:
            return self._conclude(opened, segment, verdict)
        return self._group(opened, segment, verdict)

    def forget(self, user_id: int) -> int:
        """Drop what that user said, their alert, and their turns around others' alerts; how much."""
        before = len(self._turns) + len(self._open) + len(self._earlier)
        self._turns = deque((t for t in self._turns if t.segment.speaker_id != user_id), maxlen=MAX_TURNS)
        self._open.pop(user_id, None)
        self._earlier = deque((e for e in self._earlier if e.alert.speaker.id != user_id), maxlen=MAX_EARLIER)
        self._seen.pop(user_id, None)
        for opened in (*self._open.values(), *self._earlier):
            context = tuple(t for t in opened.alert.context if t.segment.speaker_id != user_id)
            speakers = tuple(s for s in opened.alert.speakers if s.id != user_id)
            opened.alert = replace(opened.alert, context=context, speakers=speakers)
        return before - len(self._turns) - len(self._open) - len(self._earlier)

    def _raise(self, session: Session, segment: TranscriptSegment, verdict: Verdict, state: AlertState) -> AlertRaised:
        alert = Alert(
            id=segment.id,
            session=session,
            speaker=self._speaker(segment.speaker_id),
            segment=segment,
            verdict=verdict,
            state=state,
            raised_at=self._clock(),
        )
        if (before := self._open.get(segment.speaker_id)) is not None:
            self._earlier.append(before)
        self._open[segment.speaker_id] = opened = _Open(self._with_context(alert))
        return AlertRaised(opened.alert)

    def _holder(self, segment: TranscriptSegment) -> _Open | None:
        """The alert whose card shows the segment already."""
        latest = self._open.get(segment.speaker_id)
        alerts = (*self._earlier, *([latest] if latest else ()))
        return next((o for o in reversed(alerts) if any(f.segment.id == segment.id for f in o.alert.findings)), None)

    def _renew_turn(self, segment: TranscriptSegment, verdict: Verdict) -> bool:
        """Give a turn that is known already its new verdict; whether there was one."""
        for n, turn in enumerate(self._turns):
            if turn.segment.id == segment.id:
                self._turns[n] = Finding(segment, verdict)
                return True
        return False

    def _conclude(self, opened: _Open, segment: TranscriptSegment, verdict: Verdict) -> AlertRevised:
        """The final of an alert's own utterance: it bears the alert out, changes it, or takes it back."""
        if verdict.level is Level.ALERT:
            state = AlertState.CONFIRMED
        else:
            state = AlertState.REVISED if verdict.flags or opened.alert.grouped else AlertState.WITHDRAWN
        if not segment.text:
            return self._revise(opened, replace(opened.alert, state=state))
        return self._revise(opened, replace(opened.alert, segment=segment, verdict=verdict, state=state))

    def _group(self, opened: _Open, segment: TranscriptSegment, verdict: Verdict) -> AlertRevised:
        alert = opened.alert
        finding = Finding(segment, verdict)
        if any(f.segment.id == segment.id for f in alert.grouped):
            return self._revise(opened, replace(alert, grouped=tuple(finding if f.segment.id == segment.id else f for f in alert.grouped)))
        grouped = (*alert.grouped, finding)
        shown = grouped[-MAX_GROUPED:]
        dropped = alert.grouped_dropped + len(grouped) - len(shown)
        return self._revise(opened, replace(alert, grouped=shown, grouped_dropped=dropped))

    def _answers(self, segment: TranscriptSegment) -> list[AlertEvent]:
        """Others' words shortly after an alert belong on its card: they show how it was taken."""
        events: list[AlertEvent] = []
        for opened in self._open.values():
            alert = opened.alert
            recent = 0 <= segment.start - alert.evidence_span[1] <= AFTER_SECONDS
            if alert.speaker.id != segment.speaker_id and recent and opened.after < MAX_AFTER:
                opened.after += 1
                events.append(self._revise(opened, alert))
        return events

    def _revise(self, opened: _Open, alert: Alert) -> AlertRevised:
        opened.alert = self._with_context(alert)
        return AlertRevised(opened.alert)

    def _with_context(self, alert: Alert) -> Alert:
        start, end = alert.evidence_span
        own = {f.segment.id for f in alert.findings}
        reach = self._settings().context_seconds
        others = [t for t in self._turns if t.segment.id not in own]
        turns = [t for t in others if start - reach <= t.segment.end and t.segment.start <= end + AFTER_SECONDS]
        context = tuple(sorted(turns, key=lambda t: t.segment.start)[-MAX_CONTEXT:])
        names = tuple(self._speaker(i) for i in sorted({t.segment.speaker_id for t in context}))
        return replace(alert, context=context, speakers=names)

    def _in_cooldown(self, alert: Alert, session: Session, segment: TranscriptSegment, verdict: Verdict) -> bool:
        """Whether the segment grows that alert. Worse than what moderators were told is news; so is another channel's."""
        if alert.session.channel_id != session.channel_id:
            return False
        recent = segment.start - alert.evidence_span[1] <= self._settings().cooldown_seconds
        return recent and verdict.severity <= alert.severity and alert.state is not AlertState.WITHDRAWN


def _identity(flag: Flag, segment: TranscriptSegment) -> tuple[str, str, str]:
    """What makes a flag in the next partial the same one: offsets move when the recogniser revises earlier words."""
    return flag.detector, flag.category, segment.text[flag.span.start_char : flag.span.end_char].casefold()
