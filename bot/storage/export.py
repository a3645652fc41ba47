"""Everything stored about one member, as they may have it: one page of each table at a time."""

from datetime import datetime

from sqlalchemy import RowMapping, select

from bot.storage.database import Database
from bot.storage.tables import alert_segments, alerts, consents, coverage, flags, notice_mentions, outbox, segments, webhook_outbox
from moderation.privacy import Export

PAGE = 1000
"""Rows of each table in one page: a few megabytes at most; Discord takes 10."""

_TABLES = {
    "choices": (consents, consents.c.user_id, ()),
    "transcript": (segments, segments.c.speaker_id, ()),
    "flags": (flags, flags.c.speaker_id, ()),
    "alerts_about_you": (alerts, alerts.c.speaker_id, ()),
    "quoted_in_alerts": (alert_segments, alert_segments.c.speaker_id, ("alert_id",)),
    "alerts_under_way": (outbox, outbox.c.speaker_id, ("payload",)),
    "webhooks_under_way": (webhook_outbox, webhook_outbox.c.speaker_id, ("payload",)),
    "heard": (coverage, coverage.c.speaker_id, ()),
    "named_in_notices": (notice_mentions, notice_mentions.c.user_id, ()),
}
"""Name in the file → table, column with the member's id, and columns left out because they name others or repeat the transcript."""


class SqlExport:
    """Implements `moderation.privacy.Exporter`."""

    def __init__(self, database: Database, *, page: int = PAGE) -> None:
        self._database = database
        self._page = page

    async def export(self, user_id: int, page: int) -> Export:
        """That page, from 1. Raises `StorageError`."""
        data: dict[str, list[dict[str, object]]] = {}
        more = False
        async with self._database.read() as connection:
            for name, (table, owner, hidden) in _TABLES.items():
                query = select(table).where(owner == user_id).order_by(*table.primary_key.columns)
                rows = (await connection.execute(query.limit(self._page + 1).offset((page - 1) * self._page))).all()
                more = more or len(rows) > self._page
                data[name] = [_plain(row._mapping, hidden) for row in rows[: self._page]]
        return Export(data, more)


def _plain(row: RowMapping, hidden: tuple[str, ...]) -> dict[str, object]:
    """Values that JSON knows; ids as text, because many readers round large numbers."""
    return {key: _value(key, value) for key, value in row.items() if key not in hidden}


def _value(key: str, value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if key.endswith("_id") and value is not None else value
