"""The tables.

Every row but a product and an erasure carries its guild; ids are Discord's (64 bits); times of day are aware and in UTC, `…_seconds`
are media seconds.

sessions ─┬─ segments ─── flags
          ├─ coverage
          └─ alerts ─── alert_segments (ids of segments: what was said is stored once, so that it can be forgotten)
guild_settings     lexicon_terms     watched_channels     seats
outbox (alerts on their way: the one other place that holds what was said, until the card is posted)
guild_privacy      consents          redactions     alert_channels     notice_mentions
erasures (deletions under way: of a member, in all guilds)
products (of the whole bot: HTTP, which changes them too, knows no guild)
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time of day. SQLite has no such type: there it is stored in UTC and comes back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive time is refused, because nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time of day without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _guild() -> Column[int]:
    return Column("guild_id", BigInteger, nullable=False)


def _said_in() -> Column[int]:
    """The channel: that of its session at the time, which may have been moved since. 0 where there is none (files)."""
    return Column("channel_id", BigInteger, nullable=False, server_default="0")


def _of_session(**more: Any) -> Column[str]:  # noqa: ANN401 (SQLAlchemy's own)
    return Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, **more)


sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    _guild(),
    Column("channel_id", BigInteger, nullable=False),
    Column("channel_name", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("end_reason", Text),
    Index(None, "guild_id", "started_at"),
    Index(None, "ended_at"),
)

coverage = Table(
    "coverage",
    metadata,
    _of_session(primary_key=True),
    Column("speaker_id", BigInteger, primary_key=True, autoincrement=False),
    _guild(),
    Column("spoken_seconds", Float, nullable=False),
    Column("heard_seconds", Float, nullable=False),
    Column("segments", Integer, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("alerts", Integer, nullable=False),
    Index(None, "speaker_id"),
)

segments = Table(
    "segments",
    metadata,
    Column("id", Text, primary_key=True),
    _guild(),
    _of_session(),
    _said_in(),
    Column("speaker_id", BigInteger, nullable=False),
    Column("utterance", Integer, nullable=False),
    Column("start_seconds", Float, nullable=False),
    Column("end_seconds", Float, nullable=False),
    Column("spoken_at", UtcDateTime, nullable=False),  # when it ended
    Column("text", Text, nullable=False),
    Column("words", JSON, nullable=False),  # [[text, start, end, confidence], …]
    Column("level", Integer, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("detectors", JSON, nullable=False),  # [[detector, how it fared], …]
    Index(None, "session_id", "start_seconds"),
    Index(None, "guild_id", "spoken_at"),
    Index(None, "speaker_id"),
)

flags = Table(
    "flags",
    metadata,
    Column("segment_id", Text, ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _guild(),
    Column("speaker_id", BigInteger, nullable=False),
    Column("detector", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    Column("start_seconds", Float, nullable=False),
    Column("end_seconds", Float, nullable=False),
    Index(None, "guild_id", "category"),
    Index(None, "speaker_id"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    _guild(),
    _of_session(),
    _said_in(),
    Column("speaker_id", BigInteger, nullable=False),
    Column("segment_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("start_seconds", Float, nullable=False),  # of the speech that it is about
    Column("end_seconds", Float, nullable=False),
    Column("spoken_at", UtcDateTime, nullable=False),  # when the segment that raised it ended
    Column("grouped_dropped", Integer, nullable=False),
    Column("message_id", BigInteger),
    Index(None, "guild_id", "spoken_at"),
    Index(None, "session_id"),
    Index(None, "speaker_id"),
)

alert_segments = Table(
    "alert_segments",
    metadata,
    Column("alert_id", Text, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
    Column("segment_id", Text, primary_key=True),
    _guild(),
    Column("speaker_id", BigInteger, nullable=False),
    Column("role", Text, nullable=False),  # context, grouped
    Column("start_seconds", Float, nullable=False),
    Index(None, "speaker_id"),
    Index(None, "segment_id"),
)

guild_settings = Table(
    "guild_settings",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_channel_id", BigInteger),
    Column("alert_severity", Integer, nullable=False),
    Column("early_severity", Integer, nullable=False),
    Column("minimum_confidence", Float, nullable=False),
    Column("cooldown_seconds", Float, nullable=False),
    Column("context_seconds", Float, nullable=False),
    Column("keep_evidence", Boolean, nullable=False),
)

lexicon_terms = Table(
    "lexicon_terms",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("term", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", Integer, nullable=False),
)


def _outbox(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("alert_id", Text, primary_key=True),
        _guild(),
        Column("speaker_id", BigInteger, nullable=False),
        Column("state", Text, nullable=False),  # pending, undeliverable
        Column("attempts", Integer, nullable=False),
        Column("since", UtcDateTime, nullable=False),  # when the alert was raised
        Column("next_attempt_at", UtcDateTime),
        Column("message_id", BigInteger),
        Column("payload", Text, nullable=False),  # the alert as JSON; empty once it is undeliverable
        Index(None, "state", "since"),
        Index(None, "speaker_id"),
    )


outbox = _outbox("outbox")
webhook_outbox = _outbox("webhook_outbox")

watched_channels = Table(
    "watched_channels",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, nullable=False),  # 0 is joined first
    Column("uncovered_seconds", Float, nullable=False, server_default="0"),  # people were there, the bot was not
    Column("down_seconds", Float, nullable=False, server_default="0"),  # the bot did not run: nobody knows who was there
    Column("counted_since", UtcDateTime),
    Column("counted_until", UtcDateTime),
)

seats = Table(
    "seats",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("channel_name", Text, nullable=False),
    Column("by_watch", Boolean, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("heard", Boolean, nullable=False),
    Column("chosen_at", UtcDateTime, nullable=False),
    Index(None, "user_id"),
)

guild_privacy = Table(
    "guild_privacy",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("mode", Text, nullable=False),  # opt-out, opt-in
    Column("transcript_days", Integer),  # null: as the operator set
    Column("alert_days", Integer),
)

redactions = Table(  # posted cards from which words are to be removed; names nobody
    "redactions",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    _guild(),
    Column("whole", Boolean, nullable=False),  # the card is about whoever asked; otherwise only its context quotes them
    Column("attempts", Integer, nullable=False),
)

notice_mentions = Table(  # members named in posted notices about who was not heard
    "notice_mentions",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    _guild(),
    Column("posted_at", UtcDateTime, nullable=False),
    Index(None, "user_id"),
    Index(None, "posted_at"),
)

alert_channels = Table(  # every channel that a guild's cards were ever posted to: an old card is found again
    "alert_channels",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
)

erasures = Table(  # who asked for deletion, until that shard's process has done it
    "erasures",
    metadata,
    Column("shard_count", Integer, primary_key=True, autoincrement=False),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Index(None, "user_id"),
)

kept_statuses = Table(  # members' own channel statuses while the bot's notice stands in their place
    "kept_statuses",
    metadata,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    _guild(),
    Column("status", Text),
    Column("kept_at", UtcDateTime, nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("key", Text, primary_key=True),  # the name as it is compared
    Column("name", Text, nullable=False),
    Column("price_cents", BigInteger, nullable=False),  # SQLite knows no exact decimals
    Column("updated_at", UtcDateTime, nullable=False),
)
