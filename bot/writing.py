"""Which store a record belongs to."""

from collections.abc import Mapping

from bot.records import AlertSettled, AlertWaiting, Entry, Lane, Outcome
from bot.storage.outbox import SqlOutbox
from moderation.events import SegmentFlagged, SegmentTranscribed, SessionEnded, SessionMoved, SessionStarted
from moderation.ports import AlertStore, SessionStore


class RecordWriter:
    """Writes records; each may be written twice."""

    def __init__(self, sessions: SessionStore, alerts: AlertStore, outboxes: Mapping[Lane, SqlOutbox]) -> None:
        self._sessions = sessions
        self._alerts = alerts
        self._outboxes = outboxes

    async def write(self, entry: Entry) -> None:
        """Commit it. Raises `StorageError`."""
        match entry.record:
            case SessionStarted(session):
                await self._sessions.start_session(session)
            case SessionMoved(session):
                await self._sessions.move_session(session)
            case SegmentTranscribed(session, _, segment, verdict) | SegmentFlagged(session, _, segment, verdict):
                await self._sessions.add_segment(session, segment, verdict)
            case SessionEnded(session, coverage, reason):
                await self._sessions.end_session(session, entry.at, reason, coverage)
            case AlertWaiting() as waiting:
                await self._outboxes[waiting.lane].put(waiting)
            case AlertSettled(alert, message_id, outcome, lane):
                if lane is Lane.CARD:
                    await self._alerts.save_alert(alert, message_id)
                if outcome is Outcome.DELIVERED:
                    await self._outboxes[lane].remove(alert.id)
                else:
                    await self._outboxes[lane].give_up(alert.id, entry.at)
