"""What is written down: the events that become rows, and where alerts stand on their way to the moderators.

A record is a line of the journal while the database is away, so there is a typed, tolerant way to JSON and back: fields that a newer
version added get their defaults, fields that it dropped are ignored.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from moderation.errors import StorageError
from moderation.events import SegmentFlagged, SegmentTranscribed, SessionEnded, SessionMoved, SessionStarted
from moderation.models import Alert


class Outcome(StrEnum):
    """How an alert's way ended."""

    DELIVERED = "delivered"
    """Its card stands in the alert channel, or its guild set none."""
    UNDELIVERABLE = "undeliverable"
    """Tried for too long, or refused for good."""


class Lane(StrEnum):
    """Where an alert is on its way to; each lane delivers by itself."""

    CARD = "card"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class AlertWaiting:
    """An alert, or a newer revision of it, that the receiver of its lane does not have yet."""

    alert: Alert
    since: datetime
    """Wall time at which it was raised."""
    message_id: int | None = None
    """Its card, when there is one to edit."""
    attempts: int = 0
    """How often it was tried in vain."""
    next_attempt_at: datetime | None = None
    """Not before; None: at once."""
    lane: Lane = Lane.CARD
    quotes: bool = False
    """Its card quotes somebody whose data was deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class AlertSettled:
    """Nothing of this alert waits any more."""

    alert: Alert
    message_id: int | None
    outcome: Outcome
    lane: Lane = Lane.CARD
    quotes: bool = False
    """As above."""


@dataclass(frozen=True, slots=True)
class CardLeft:
    """What is left of an alert when whoever it was about had their data deleted: its card, which is to be edited. Names nobody."""

    guild_id: int
    message_id: int


AlertRecord = AlertWaiting | AlertSettled
Record = SessionStarted | SessionMoved | SegmentTranscribed | SegmentFlagged | SessionEnded | AlertRecord | CardLeft


class AlertLog(Protocol):
    """Where it is written down how alerts stand."""

    def submit(self, record: AlertRecord) -> "asyncio.Future[bool]":
        """Write it, without waiting; the future is done once it is safe, or cannot be."""
        ...


_ALERT = TypeAdapter(Alert)
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (SessionStarted, SessionMoved, SegmentTranscribed, SegmentFlagged, SessionEnded, AlertWaiting, AlertSettled, CardLeft)
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and when it came about."""

    at: datetime
    """Wall time, UTC."""
    record: Record


def encode(entry: Entry) -> bytes:
    """One line of JSON, without its end. Raises `StorageError` for what cannot be written, such as half a character."""
    kind = type(entry.record).__name__
    try:
        value = _ADAPTERS[kind].dump_json(entry.record)
    except ValueError:  # from None: the message quotes the value
        raise StorageError(f"A record of kind {kind} cannot be written.") from None
    return b'{"at":"%s","kind":"%s","record":%s}' % (entry.at.isoformat().encode(), kind.encode(), value)


def decode(line: bytes) -> Entry:
    """From one line of JSON. Raises `StorageError` when this version cannot read it; never quotes it."""
    try:
        found = json.loads(line)
        return Entry(datetime.fromisoformat(found["at"]), _ADAPTERS[found["kind"]].validate_python(found["record"], strict=False))
    except (ValueError, KeyError, TypeError):
        raise StorageError("A written record cannot be read: another version of Earshot wrote it.") from None


def encode_alert(alert: Alert) -> str:
    """All that its card shows, as JSON. Raises `StorageError`."""
    try:
        return _ALERT.dump_json(alert).decode()
    except ValueError:
        raise StorageError("An alert cannot be written.") from None


def decode_alert(text: str) -> Alert:
    """The alert again; its monotonic times mean nothing in another process. Raises `StorageError`."""
    try:
        return replace(_ALERT.validate_json(text), raised_at=0.0)
    except ValidationError:
        raise StorageError("A waiting alert cannot be read: another version of Earshot wrote it.") from None


def without_user(record: Record, user_id: int) -> Record | None:
    """The record without anything about that user; None when it is about them alone. That a card quotes them is not lost."""
    match record:
        case SegmentTranscribed() | SegmentFlagged():
            return None if record.speaker.id == user_id else record
        case SessionEnded():
            return replace(record, coverage=tuple(c for c in record.coverage if c.speaker.id != user_id))
        case AlertWaiting() | AlertSettled():
            alert, message_id = alert_without_user(record.alert, user_id), record.message_id
            if alert is None:
                if message_id is None or record.lane is not Lane.CARD:
                    return None
                return CardLeft(record.alert.session.guild_id, message_id)
            return replace(record, alert=alert, quotes=record.quotes or alert != record.alert)
        case _:
            return record


def users_of(record: Record) -> set[int]:
    """Everybody whom the record tells something about."""
    match record:
        case SegmentTranscribed() | SegmentFlagged():
            return {record.speaker.id}
        case SessionEnded():
            return {c.speaker.id for c in record.coverage}
        case AlertWaiting() | AlertSettled():
            alert = record.alert
            return {alert.speaker.id, *(f.segment.speaker_id for f in alert.context), *(s.id for s in alert.speakers)}
        case _:
            return set()


def alert_without_user(alert: Alert, user_id: int) -> Alert | None:
    """The alert without that user's turns around it; None when it is about them."""
    if alert.speaker.id == user_id:
        return None
    context = tuple(f for f in alert.context if f.segment.speaker_id != user_id)
    return replace(alert, context=context, speakers=tuple(s for s in alert.speakers if s.id != user_id))
