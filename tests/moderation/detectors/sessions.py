"""What the detector tests share."""

from datetime import UTC, datetime

from moderation.models import Session

SESSION = Session("s", guild_id=7, channel_id=8, started_at=datetime(2026, 1, 1, tzinfo=UTC))
