"""The channel in which something was said, what was not covered of watched channels, and whom posted notices name."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0006"
down_revision = "0005"


def upgrade(op: Operations) -> None:
    """Add columns and a table. What was said before is given its session's channel, which is right unless the session was moved."""
    for table in ("segments", "alerts"):
        op.add_column(table, sa.Column("channel_id", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE segments SET channel_id = (SELECT s.channel_id FROM sessions s WHERE s.id = segments.session_id)")
    op.execute("UPDATE alerts SET channel_id = (SELECT s.channel_id FROM sessions s WHERE s.id = alerts.session_id)")
    op.add_column("watched_channels", sa.Column("uncovered_seconds", sa.Float(), server_default="0", nullable=False))
    op.add_column("watched_channels", sa.Column("down_seconds", sa.Float(), server_default="0", nullable=False))
    op.add_column("watched_channels", sa.Column("counted_since", sa.DateTime(timezone=True)))
    op.add_column("watched_channels", sa.Column("counted_until", sa.DateTime(timezone=True)))
    op.create_table(
        "notice_mentions",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "user_id", name="pk_notice_mentions"),
    )
    op.create_index("ix_notice_mentions_user_id", "notice_mentions", ["user_id"])
    op.create_index("ix_notice_mentions_posted_at", "notice_mentions", ["posted_at"])
