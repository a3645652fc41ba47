"""Which store a record belongs to."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bot.records import AlertSettled, AlertWaiting, CardLeft, Entry, Lane, Outcome, Record, users_of, without_user
from bot.storage.erasures import KEEP, SqlErasures
from bot.storage.outbox import SqlOutbox
from bot.storage.redactions import SqlRedactions
from moderation.events import SegmentFlagged, SegmentTranscribed, SessionEnded, SessionMoved, SessionStarted
from moderation.ports import AlertStore, SessionStore


class RecordWriter:
    """Writes records; each may be written twice.

    What somebody is not to be remembered by is left out: as long as a process has still to carry out a deletion, nobody writes what came
    about before it, wherever that waited meanwhile.
    """

    def __init__(
        self,
        sessions: SessionStore,
        alerts: AlertStore,
        outboxes: Mapping[Lane, SqlOutbox],
        *,
        redactions: SqlRedactions,
        erasures: SqlErasures,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now`: wall time."""
        self._sessions = sessions
        self._alerts = alerts
        self._outboxes = outboxes
        self._redactions = redactions
        self._erasures = erasures
        self._now = now
        self.refused = 0
        """Records, or parts of them, that were left out."""

    async def write(self, entry: Entry) -> None:
        """Commit it. Raises `StorageError`."""
        record = await self._admitted(entry)
        match record:
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
            case AlertSettled() as settled:
                await self._settle(settled, entry.at)
            case CardLeft(guild_id, message_id):
                await self._redactions.note(guild_id, message_id, whole=True)
        if isinstance(record, AlertWaiting | AlertSettled) and record.quotes and record.message_id is not None and record.lane is Lane.CARD:
            await self._redactions.note(record.alert.session.guild_id, record.message_id, whole=False)

    async def _settle(self, settled: AlertSettled, at: datetime) -> None:
        alert, outbox = settled.alert, self._outboxes[settled.lane]
        if settled.lane is Lane.CARD:
            await self._alerts.save_alert(alert, settled.message_id)
        if settled.outcome is Outcome.DELIVERED:
            await outbox.remove(alert.id)
        else:
            await outbox.give_up(alert.id, at)

    async def _admitted(self, entry: Entry) -> Record | None:
        """The record without those who are to be forgotten; None when nothing of it is left."""
        if self._erasures.alone:
            return entry.record  # who asks here is forgotten here, before anything else is written
        record: Record | None = entry.record
        users = users_of(entry.record)
        forgotten = users if entry.at < self._now() - KEEP else await self._erasures.erased(users, entry.at)  # older: nobody knows any more
        for user_id in forgotten:
            self.refused += 1
            record = without_user(record, user_id) if record is not None else None
        return record
