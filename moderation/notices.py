"""What moderators must know about the bot itself: that it does not hear somebody, lost a call, is back, or gave up. Pure sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from moderation.models import Session, Speaker

MAX_NAMED = 10
"""Speakers named in one notice; the rest are a number."""


class Grade(StrEnum):
    """How a notice looks."""

    TROUBLE = "trouble"
    """Something is not heard now."""
    MENDED = "mended"
    """It is over."""
    ENDED = "ended"
    """The bot no longer listens and does not try to."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to a guild's moderators."""

    key: str
    """The same for every version of the same message."""
    guild_id: int
    title: str
    text: str
    """May mention channels and users by id; mentions ping nobody."""
    grade: Grade
    names: frozenset[int] = frozenset()
    """Ids of the members whom the text mentions."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Somebody who was not heard for a while."""

    speaker: Speaker
    """Id 0: it cannot be told who."""
    since: datetime
    until: datetime | None = None
    """When they were heard again or left; None: still not."""
    silent: bool = False
    """Nothing arrived of them; otherwise what arrived could not be decrypted."""


def not_heard(session: Session, missed: Sequence[Missed], key: str, *, over: bool = False) -> Notice:
    """Who is or was not heard, since when, until when. `over`: the session ended meanwhile."""
    deaf = [each for each in missed if each.until is None]
    lines = [_line(each) for each in missed[-MAX_NAMED:]]
    names = frozenset(each.speaker.id for each in missed[-MAX_NAMED:] if each.speaker.id)
    if len(missed) > MAX_NAMED:
        lines.append(f"and {len(missed) - MAX_NAMED} more before")
    if over:
        head = f"I left <#{session.channel_id}>. What these members said was not moderated:"
        return Notice(key, session.guild_id, "I could not hear everybody", "\n".join([head, *lines]), Grade.ENDED, names)
    if deaf:
        title = "I cannot hear somebody who speaks"
        what = "I receive nothing at all" if all(each.silent for each in deaf) else "I receive speech that I cannot decrypt"
        head = f"In <#{session.channel_id}> {what}. I keep trying to mend that and rejoin by myself."
        tail = (
            "What they say meanwhile is not moderated: listen yourself if it matters. It helps when they leave the channel and come back."
        )
        return Notice(key, session.guild_id, title, "\n".join([head, *lines, tail]), Grade.TROUBLE, names)
    head = f"In <#{session.channel_id}> everybody is heard again. What was said in between was not moderated:"
    return Notice(key, session.guild_id, "Everybody is heard again", "\n".join([head, *lines]), Grade.MENDED, names)


def forgotten(session: Session, key: str) -> Notice:
    """All whom a notice named had their data deleted."""
    text = f"In <#{session.channel_id}> somebody was not heard for a while. Who it was is removed at their request."
    return Notice(key, session.guild_id, "I could not hear somebody", text, Grade.ENDED)


def without(notice: Notice, user_id: int) -> Notice:
    """The same, but it does not name that member."""
    return replace(notice, text=notice.text.replace(f"<@{user_id}>", "a member"), names=notice.names - {user_id})


def deafened(session: Session, since: datetime, until: datetime | None, key: str) -> Notice:
    """A moderator server-deafened the bot."""
    if until is None:
        text = (
            f"Somebody server-deafened me in <#{session.channel_id}> {_at(since)}: I hear nobody. "
            "Undeafen me, or send me away with `/voice leave`."
        )
        return Notice(key, session.guild_id, "I am server-deafened", text, Grade.TROUBLE)
    text = f"In <#{session.channel_id}> I was server-deafened from {_at(since)} to {_at(until)} and heard nobody meanwhile. I hear again."
    return Notice(key, session.guild_id, "No longer server-deafened", text, Grade.MENDED)


def left_out(session: Session, since: datetime, until: datetime | None, key: str) -> Notice:
    """The machine is too slow for all calls, and this one is left out."""
    place = f"<#{session.channel_id}>"
    if until is None:
        text = (
            f"This machine is overloaded. So that the other calls are heard, nobody in {place} is, since {_at(since)}. "
            "It ends by itself; listen yourself if it matters. Whoever runs this bot should give it more processors."
        )
        return Notice(key, session.guild_id, "This channel is not heard", text, Grade.TROUBLE)
    text = f"From {_at(since)} to {_at(until)} this machine was overloaded, and nobody in {place} was heard."
    return Notice(key, session.guild_id, "This channel was not heard for a while", text, Grade.MENDED)


def lost(session: Session, since: datetime, attempts: int, why: str, key: str) -> Notice:
    """The call is lost and joining again is tried."""
    text = (
        f"I lost the call in <#{session.channel_id}> {_at(since)} and nobody is heard there now.\n"
        f"I keep trying to return ({attempts} attempts so far). `/voice leave` stops that.\n{why}"
    )
    return Notice(key, session.guild_id, "I lost the voice call", text.rstrip(), Grade.TROUBLE)


def back(session: Session, since: datetime, until: datetime, key: str) -> Notice:
    """Back in the call."""
    text = f"I am back in <#{session.channel_id}>. From {_at(since)} to {_at(until)} I heard nobody there."
    return Notice(key, session.guild_id, "I am listening again", text, Grade.MENDED)


def gave_up(session: Session, since: datetime, why: str, key: str) -> Notice:
    """Joining again is no longer tried."""
    text = (
        f"I lost the call in <#{session.channel_id}> {_at(since)} and could not return; I stopped trying. "
        f"`/voice join` brings me back.\n{why}"
    )
    return Notice(key, session.guild_id, "I no longer listen", text.rstrip(), Grade.ENDED)


def ended(session: Session, why: str, at: datetime, key: str) -> Notice:
    """Somebody's decision, or a rule, ended the session."""
    text = f"I left <#{session.channel_id}> {_at(at)}. {why}"
    return Notice(key, session.guild_id, "I no longer listen", text, Grade.ENDED)


def not_entered(guild_id: int, channel_id: int, since: datetime, why: str, until: datetime | None = None) -> Notice:
    """People are in a watched channel and the bot cannot enter it. `until`: they have left, or it is watched no more."""
    key = _watch_key(guild_id, channel_id, since)
    if until is None:
        text = (
            f"People are in <#{channel_id}>, which I watch, and I cannot enter it since {_at(since)}: I hear nobody there.\n{why}\n"
            "I keep trying. `/voice unwatch` stops that."
        )
        return Notice(key, guild_id, "I cannot enter a watched channel", text.replace("\n\n", "\n"), Grade.TROUBLE)
    text = f"I could not enter <#{channel_id}> from {_at(since)} to {_at(until)} and heard nobody there.\n{why}"
    return Notice(key, guild_id, "I could not enter a watched channel", text.rstrip(), Grade.ENDED)


def entered(guild_id: int, channel_id: int, since: datetime, until: datetime) -> Notice:
    """The bot is in the watched channel after all."""
    text = f"I am in <#{channel_id}> now. From {_at(since)} to {_at(until)} I heard nobody there."
    return Notice(_watch_key(guild_id, channel_id, since), guild_id, "I could enter the watched channel", text, Grade.MENDED)


def _watch_key(guild_id: int, channel_id: int, since: datetime) -> str:
    return f"watch {guild_id} {channel_id} {since.timestamp():.0f}"


def _line(missed: Missed) -> str:
    nobody_known = "whoever spoke" if missed.silent else "somebody (I cannot tell who)"
    who = f"<@{missed.speaker.id}>" if missed.speaker.id else nobody_known
    return f"• {who}: not heard since {_at(missed.since)}" + (f" until {_at(missed.until)}" if missed.until else "")


def _at(when: datetime) -> str:
    """Discord shows it in each reader's own time zone."""
    return f"<t:{int(when.timestamp())}:T>"
