"""Watched channels, and where the bot listens, so that a restart loses neither."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Make both tables."""
    op.create_table(
        "watched_channels",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "channel_id", name="pk_watched_channels"),
    )
    op.create_table(
        "seats",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_name", sa.Text(), nullable=False),
        sa.Column("by_watch", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", name="pk_seats"),
    )
