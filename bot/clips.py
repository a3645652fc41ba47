"""The evidence clips of alerts that wait: cut while the audio is there, held until the card stands, bounded."""

from collections import deque

from bot.pending import Pending, WaitingRoom
from moderation.models import Alert
from moderation.ports import Evidence
from moderation.settings import GuildSettings

LEAD_IN_SECONDS = 5.0
"""Audio before the flagged segment that the evidence clip includes: what led up to it."""
MAX_BYTES = 64_000_000
"""Clips held for alerts that wait; when there are more, the oldest alert's goes first, and its card says so."""


class Clips:
    """Cuts clips, and lets go of sessions' audio."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._ended: deque[str] = deque()

    def cut(self, item: Pending, alert: Alert, settings: GuildSettings, room: WaitingRoom) -> None:
        """Once per revision: the audio held moves on, so a clip cut later would begin too late."""
        if item.cut_for is alert:
            return
        item.cut_for = alert
        start, end = alert.evidence_span
        if settings.keep_evidence:
            clip = self._evidence.clip(alert.session.id, alert.speaker.id, start - LEAD_IN_SECONDS, end)
            item.clip = clip or item.clip
            bound(room)

    def ended(self, session_id: str) -> None:
        """Its audio may go once the clips of its alerts are cut."""
        self._ended.append(session_id)

    def drop_ended(self, room: WaitingRoom) -> None:
        """Drop the audio of ended sessions whose alerts have their clips."""
        for _ in range(len(self._ended)):
            session_id = self._ended.popleft()
            if any(i.alert.session.id == session_id and i.cut_for is not i.alert and not i.late for i in room):
                self._ended.append(session_id)
            else:
                self._evidence.drop_session(session_id)


def bound(room: WaitingRoom) -> None:
    """Drop the oldest alerts' clips while there are too many bytes."""
    excess = sum(len(i.clip) for i in room if i.clip) - MAX_BYTES
    for item in room:
        if excess <= 0:
            return
        excess -= len(item.clip or b"")
        item.clip = None
