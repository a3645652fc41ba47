"""Alerts that a webhook's receiver does not have yet."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0005"
down_revision = "0004"


def upgrade(op: Operations) -> None:
    """Make the table."""
    op.create_table(
        "webhook_outbox",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("speaker_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("message_id", sa.BigInteger()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_webhook_outbox"),
    )
    op.create_index("ix_webhook_outbox_state_since", "webhook_outbox", ["state", "since"])
    op.create_index("ix_webhook_outbox_speaker_id", "webhook_outbox", ["speaker_id"])
